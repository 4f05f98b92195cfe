"""The house rules about imports: who may know whom, and what a light command must not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

HEAVY = ("torch", "cv2", "mediapipe", "PySide6", "sounddevice", "onnxruntime", "av", "scipy")


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after this code."""
    code += "\nimport sys; print('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_imports_point_down_and_heavy_libraries_stay_at_home() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(lint), "--no-cache"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize(
    "module", ["livemove.cli", "livemove.bundle", "livemove.body.features", "livemove.body.mapping"]
)
def test_light_modules_load_nothing_heavy(module: str) -> None:
    assert not loaded_after(f"import {module}").intersection(HEAVY)


def test_the_supervisor_loads_nothing_heavy() -> None:
    assert not loaded_after("import livemove.session.perform").intersection(set(HEAVY) - {"scipy"})


def test_help_does_not_even_load_numpy() -> None:
    """The time it takes is what it loads: numpy alone is a third of it."""
    assert not loaded_after("import livemove.cli").intersection({"numpy", "rich"})


def test_the_instrument_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import livemove.offline.render, livemove.session.perform"
    assert "livemove" in loaded_after(code)
