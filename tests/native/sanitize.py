"""The native tests under a sanitizer: `python tests/native/sanitize.py undefined|address|thread [pytest's arguments]`.

Builds the extension modules with it into build/sanitize-NAME, lays them over a tree of links to this one, and runs
tests/native there; what the sanitizer finds ends that process. Needs GCC or Clang, nanobind and CMake.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = {"undefined": "libubsan.so", "address": "libasan.so", "thread": "libtsan.so"}
"""What the interpreter, which knows no sanitizer, must have loaded before any module of ours."""
OPTIONS = {
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own, by the thousand
    "TSAN_OPTIONS": "report_signal_unsafe=0 exitcode=66",
}
SUPPRESSED = "race:onnxruntime_pybind11_state\n"
"""The thread sanitizer's: a library that was built without it, which some tests import."""
NOT_THERE = {"address": "not allocate", "thread": "not allocate"}
"""Tests that put their own malloc in front of the C library's, where the sanitizer's must stand."""


def build(sanitizer: str, folder: Path) -> list[Path]:
    """The extension modules, built with it."""
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), f"-DPython_EXECUTABLE={sys.executable}"]
    subprocess.run([*configure, f"-DLIVEMOVE_SANITIZE={sanitizer}"], check=True)
    subprocess.run(["cmake", "--build", str(folder), "--parallel"], check=True)
    return list(folder.glob("_*.so"))


def lay_over(modules: list[Path], tree: Path) -> None:
    """tree: the source tree as links, with these modules in place of its own."""
    shutil.rmtree(tree, ignore_errors=True)
    native = tree / "livemove" / "native"
    native.mkdir(parents=True)
    for there, here in ((ROOT, tree), (ROOT / "livemove", tree / "livemove"), (ROOT / "livemove" / "native", native)):
        for entry in there.iterdir():
            link = here / entry.name
            if not link.exists() and entry.name not in (".git", "build"):
                link.symlink_to(entry)
    for module in modules:
        place = native / module.name
        place.unlink(missing_ok=True)
        shutil.copy(module, place)


def main(sanitizer: str, *arguments: str) -> int:
    folder = ROOT / "build" / f"sanitize-{sanitizer}"
    modules = build(sanitizer, folder)
    lay_over(modules, folder / "tree")
    compiler = os.environ.get("CXX", "c++")
    found = subprocess.run([compiler, f"-print-file-name={RUNTIME[sanitizer]}"], capture_output=True, text=True)
    environment = os.environ | OPTIONS | {"LD_PRELOAD": found.stdout.strip(), "PYTHONPATH": str(folder / "tree")}
    (folder / "suppressed").write_text(SUPPRESSED)
    environment["TSAN_OPTIONS"] += f" suppressions={folder / 'suppressed'}"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/native", "--timeout", "1200"]
    command += ["-k", NOT_THERE.get(sanitizer, ""), *arguments]
    return subprocess.run(command, cwd=folder / "tree", env=environment, check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in RUNTIME:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
