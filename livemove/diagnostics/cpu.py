"""What the processor and the system say of themselves: name, caches, frequency governor, time by what it was spent on.

In: /proc and /sys where there are any. Out: plain values; None or nothing for what a system does not tell. Measures
nothing and knows no engine.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

PROC, SYS = Path("/proc"), Path("/sys")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def name(proc: Path = PROC) -> str:
    """The processor's model name."""
    info = proc / "cpuinfo"
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def governor(sys: Path = SYS) -> str | None:
    """What decides the frequency of the first core: "performance", "schedutil" ...; None on most virtual machines."""
    try:
        return (sys / "devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip() or None
    except OSError:
        return None


def caches(sys: Path = SYS) -> dict[int, int]:
    """Level -> bytes of the first core's caches for data, whoever shares them; empty where the system does not tell."""
    found: dict[int, int] = {}
    for index in sorted((sys / "devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / part).read_text().strip() for part in ("level", "type", "size"))
            if kind != "Instruction":
                found[int(level)] = int(size.rstrip("KMG")) * UNITS.get(size[-1:], 1)
        except (OSError, ValueError):
            continue
    return found


@dataclass(frozen=True)
class CpuTime:
    """Time of all cores since the start, in the kernel's ticks of 10 ms.

    busy: of everybody, with what was stolen; stolen: cores were wanted, and the host gave them to another machine.
    """

    busy: int = 0
    stolen: int = 0

    def __add__(self, other: CpuTime) -> CpuTime:
        return CpuTime(self.busy + other.busy, self.stolen + other.stolen)

    def __sub__(self, other: CpuTime) -> CpuTime:
        return CpuTime(self.busy - other.busy, self.stolen - other.stolen)

    @property
    def stolen_share(self) -> float:
        """Of the time in which somebody wanted a core: 0..1."""
        return self.stolen / self.busy if self.busy > 0 else 0.0


def time_spent(proc: Path = PROC) -> CpuTime | None:
    """The first line of /proc/stat: user nice system idle iowait irq softirq steal ...; None where there is none."""
    try:
        fields = (proc / "stat").read_text().split("\n", 1)[0].split()
        user, nice, system, _idle, _iowait, irq, softirq, stolen = (int(field) for field in fields[1:9])
    except (OSError, ValueError):
        return None
    return CpuTime(user + nice + system + irq + softirq + stolen, stolen)  # user and nice contain those of guests
