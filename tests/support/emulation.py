"""Our C++ as compiled for Arm, run by qemu: the WaveNet generator behind the very class that NativeVoices uses.

In: nothing but Debian's g++-aarch64-linux-gnu and qemu-user, both of which may be missing. Out: a stand-in for the
module livemove.native._wavenet, each `generate` of which is a process of its own. Says nothing about speed.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from livemove.contracts import Float32, Float64
from tests.support.paths import ROOT

COMPILER, EMULATOR = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64")
NATIVE = ROOT / "livemove" / "native"
FLAGS = ("-std=c++17", "-O2", "-ffp-contract=off", "-fno-math-errno", f"-I{NATIVE}", "-DLIVEMOVE_ARM")
"""As native/wavenet.cmake has them, but for -O3: a third of the time, and the same arithmetic."""

PARTS = ("generator", "harmonics", "machine", "packing", "isa_portable")
STATE = ("inputs", "queues", "overlap", "phase", "amplitudes")


def compile_wavenet(folder: Path) -> Path:
    """tests/native/wavenet_alone.cpp for AArch64, with the kernels for every one and those with dot products."""
    objects = [folder / f"{name}.o" for name in (*PARTS, "dot", "alone")]
    sources = [*(NATIVE / "wavenet" / f"{name}.cpp" for name in PARTS), NATIVE / "wavenet" / "isa_portable.cpp"]
    sources.append(ROOT / "tests" / "native" / "wavenet_alone.cpp")
    for source, target in zip(sources, objects, strict=True):
        own = ("-DLIVEMOVE_DOTPROD", "-march=armv8.2-a+dotprod") if target.stem == "dot" else ()
        subprocess.run([str(COMPILER), *FLAGS, *own, "-c", str(source), "-o", str(target)], check=True)
    program = folder / "wavenet"
    subprocess.run([str(COMPILER), "-static", *map(str, objects), "-o", str(program)], check=True)
    return program


def on_arm(program: Path, *arguments: str, cpu: str = "max", given: bytes = b"") -> bytes:
    """What it writes. cpu: a processor as qemu calls it."""
    done = subprocess.run(
        [str(EMULATOR), "-cpu", cpu, str(program), *arguments], input=given, capture_output=True, timeout=600
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


class EmulatedModule:
    """As much of livemove.native._wavenet as NativeVoices asks for. cpu: see `on_arm`."""

    def __init__(self, program: Path, cpu: str = "max") -> None:
        self.program, self.cpu = program, cpu

    def instruction_sets(self) -> list[str]:
        return on_arm(self.program, "which", cpu=self.cpu).decode().split()

    def Generator(self, **given: Any) -> EmulatedGenerator:  # a class, where it is real
        return EmulatedGenerator(self, given)


class EmulatedGenerator:
    """The class Generator of native/wavenet/bindings.cpp; its states are kept here."""

    def __init__(self, module: EmulatedModule, given: dict[str, Any]) -> None:
        self.isa = module.instruction_sets()[0] if given["isa"] == "auto" else given["isa"]
        self._module = module
        self._voices = int(given["voices"])
        self._states: dict[str, Float64] = {}
        self._fixed = {
            **{f"size.{name}": value for name, value in given["sizes"].items()},
            **{f"tensor.{name}": value for name, value in given["tensors"].items()},
            **{name: given[name] for name in ("dilations", "ranges", "filters", "response", "decode", "voices")},
            "isa": list(self.isa.encode()),
            "precision": list(given["precision"].encode()),
        }

    def generate(
        self,
        out: Float32,
        channels: Float32,
        noise: Float32,
        style: Float32,
        temperature: Float32,
        values: Float32 | None,
        parameters: Float32 | None,
    ) -> None:
        given = self._fixed | self._states
        given |= {"channels": channels, "noise": noise, "style": style, "temperature": temperature}
        given |= {"hops": channels.shape[1], "values": 0 if values is None else values.size}
        given |= {"parameters": 0 if parameters is None else parameters.size}
        written = b"".join(_record(name, value) for name, value in given.items())
        made = dict(_records(on_arm(self._module.program, cpu=self._module.cpu, given=written)))
        for name, array in (("out", out), ("values", values), ("parameters", parameters)):
            if array is not None:
                array.reshape(-1)[:] = made[name]
        self._states = {name: value for name, value in made.items() if name.startswith("state.")}

    def set_state(self, voice: int, *arrays: np.ndarray) -> None:
        for name, array in zip(STATE, arrays, strict=True):
            self._states[f"state.{voice}.{name}"] = np.asarray(array, np.float64).reshape(-1)

    def get_state(self, voice: int, *arrays: np.ndarray) -> None:
        for name, array in zip(STATE, arrays, strict=True):
            array.reshape(-1)[:] = self._states[f"state.{voice}.{name}"]


def _record(name: str, value: float | Sequence[float] | np.ndarray) -> bytes:
    numbers = np.asarray(value, np.float64).reshape(-1)
    return np.uint64(len(name)).tobytes() + name.encode() + np.uint64(numbers.size).tobytes() + numbers.tobytes()


def _records(written: bytes) -> Iterator[tuple[str, Float64]]:
    at = 0
    while at < len(written):
        length = int(np.frombuffer(written, np.uint64, 1, at)[0])
        name = written[at + 8 : at + 8 + length].decode()
        count = int(np.frombuffer(written, np.uint64, 1, at := at + 8 + length)[0])
        yield name, np.frombuffer(written, np.float64, count, at + 8)
        at += 8 + 8 * count
