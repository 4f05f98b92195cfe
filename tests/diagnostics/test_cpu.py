"""What the processor says of itself, read from copies of /proc and /sys as Linux writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemove.diagnostics import cpu
from livemove.diagnostics.cpu import CpuTime


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_caches_for_data_by_level_whatever_their_unit(tmp_path: Path) -> None:
    told = [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "1024K"), ("3", "Unified", "32M")]
    for i, (level, kind, size) in enumerate(told):
        at = tmp_path / f"devices/system/cpu/cpu0/cache/index{i}"
        write(at, {"level": level + "\n", "type": kind + "\n", "size": size + "\n"})
    assert cpu.caches(tmp_path) == {1: 48 << 10, 2: 1 << 20, 3: 32 << 20}


def test_a_system_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    assert cpu.caches(tmp_path) == {}
    assert cpu.governor(tmp_path) is None
    assert cpu.time_spent(tmp_path) is None
    assert isinstance(cpu.name(tmp_path), str)


def test_governor_and_name(tmp_path: Path) -> None:
    write(tmp_path, {"devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n"})
    assert cpu.governor(tmp_path) == "powersave"
    write(tmp_path, {"cpuinfo": "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n"})
    assert cpu.name(tmp_path) == "Some CPU @ 3 GHz"


def test_stolen_is_a_share_of_the_time_in_which_a_core_was_wanted(tmp_path: Path) -> None:
    """Ticks of user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice."""
    first = cpu.time_spent(write(tmp_path, {"stat": "cpu  100 10 20 5000 70 1 2 7 50 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"}))
    then = cpu.time_spent(write(tmp_path, {"stat": "cpu  160 10 30 6000 90 1 2 37 80 0\n"}))
    assert first is not None
    assert then is not None
    assert then - first == CpuTime(busy=100, stolen=30)
    assert (then - first).stolen_share == pytest.approx(0.3)
    assert (first - first).stolen_share == 0.0
