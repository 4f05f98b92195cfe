"""The shared memory's structures between two threads, under the thread sanitizer: no race, nothing torn or lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

COMPILER = shutil.which(os.environ.get("CXX", "c++"))

pytestmark = pytest.mark.skipif(sys.platform == "win32" or COMPILER is None, reason="needs a compiler with -fsanitize")


def compiled(folder: Path, *options: str, source: str | None = None) -> Path:
    """races.cpp, or the source, as a program built with the options."""
    program, text = folder / "races", folder / "races.cpp"
    text.write_text(source or (ROOT / "tests" / "native" / "races.cpp").read_text())
    # -fno-builtin: a memcpy that GCC makes a string instruction of is one that the sanitizer does not see.
    command = [str(COMPILER), "-std=c++17", "-O1", "-g", "-pthread", "-fno-builtin", *options]
    command.append(f"-I{ROOT / 'livemove' / 'native'}")  # behind the options: another tree may stand in for it
    done = subprocess.run([*command, str(text), "-o", str(program)], capture_output=True, text=True)
    if done.returncode and ("unsupported option '-fsanitize" in done.stderr or "tsan" in done.stderr.lower()):
        pytest.skip(f"no thread sanitizer here: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    return program


def run(program: Path) -> subprocess.CompletedProcess[str]:
    # Without address space randomisation: some kernels lay memory out as this sanitizer cannot take it.
    setarch = [path, "-R"] if (path := shutil.which("setarch")) else []
    environment = os.environ | {"TSAN_OPTIONS": "halt_on_error=1"}
    return subprocess.run([*setarch, str(program)], capture_output=True, text=True, env=environment, timeout=120)


def test_two_threads_race_for_nothing(tmp_path: Path) -> None:
    done = run(compiled(tmp_path, "-fsanitize=thread"))
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "WARNING: ThreadSanitizer" not in done.stderr


def test_the_sanitizer_would_see_a_race(tmp_path: Path) -> None:
    """The control: a ring whose consumer acquires nothing of what it reads."""
    source = (ROOT / "tests" / "native" / "races.cpp").read_text()
    for count in ("written", "stamps_written"):
        there = f"ring->{count}.load(std::memory_order_acquire)"
        assert there in source
        source = source.replace(there, there.replace("acquire", "relaxed"))
    done = run(compiled(tmp_path, "-fsanitize=thread", source=source))
    assert "ThreadSanitizer: data race" in done.stderr


def test_what_was_overwritten_while_it_was_read_would_be_seen(tmp_path: Path) -> None:
    """The control: a log whose reader does not look again, without any sanitizer."""
    folder = tmp_path / "realtime"
    shutil.copytree(ROOT / "livemove" / "native" / "realtime", folder)
    text = (folder / "log.hpp").read_text()
    again = [line for line in text.splitlines() if "return begun.load(" in line]
    assert len(again) == 1
    (folder / "log.hpp").write_text(text.replace(again[0], "        return true;"))
    done = run(compiled(tmp_path, "-O2", f"-I{tmp_path}"))
    assert done.returncode == 1, done.stdout


ARM = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64")


@pytest.mark.skipif(None in ARM, reason="needs Debian's g++-aarch64-linux-gnu and qemu-user")
def test_it_holds_as_compiled_for_arm(tmp_path: Path) -> None:
    """Emulated: shows that Arm's own instructions do it, not what a weaker memory would reorder."""
    program = tmp_path / "races"
    source = str(ROOT / "tests" / "native" / "races.cpp")
    options = ["-std=c++17", "-O2", "-pthread", "-static", f"-I{ROOT / 'livemove' / 'native'}"]
    subprocess.run([str(ARM[0]), *options, source, "-o", str(program)], check=True)
    done = subprocess.run([str(ARM[1]), str(program)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
