"""Silence on the network: traced from outside, no process of a command opens a socket that leaves the machine.

Real clip, pose runtimes, engines, window and recordings; libraries that would tell their makers are among them. What
is denied to them is denied by `ipc.network`, whose own tests are in tests/ipc.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import network
from tests.support.mjpeg import NetworkCamera
from tests.support.servers import Jack
from tests.support.unavailable import unavailable

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no kernel can be asked"),
    pytest.mark.live,
]

PLANTED = """
import socket, threading
def ask():
    try:
        socket.getaddrinfo("livemove.invalid", 443)
    except OSError:
        pass
threading.Thread(target=ask, daemon=True).start()
"""
"""Python runs it in every process, before anything of livemove: a library that reports home as soon as it is loaded."""

SECONDS = 6.0
"""MediaPipe asks a second after its first frames, ONNX Runtime with its first session."""


def played(camera: str, engine: str, folder: Path, jack: Jack, *more: str, **environment: str) -> network.Traced:
    try:
        found = network.perform(camera, engine, SECONDS, folder, {**jack.environment, **environment}, *more)
    except network.NoTracer as reason:
        unavailable(str(reason))
    assert found.code == 0, found.said
    assert (folder / "played.wav").stat().st_size > 100_000
    return found


@pytest.mark.real
@pytest.mark.usefixtures("pose_model")
@pytest.mark.parametrize("engine", ["native", "native-int8", "onnx"])
def test_nobody_asks_for_the_network_while_a_video_plays(
    engine: str, dancer_clip: Path, jack: Jack, tmp_path: Path
) -> None:
    found = played(str(dancer_clip), engine, tmp_path, jack, "--pose-runtime", "litert")
    assert (found.opened, found.denied) == ([], [])


@pytest.mark.real
@pytest.mark.usefixtures("pose_model")
def test_what_mediapipe_asks_for_is_denied(dancer_clip: Path, jack: Jack, tmp_path: Path) -> None:
    """Chosen, it asks (mediapipe 1.2.3), and gets nothing; that it is seen shows that the test above would see it."""
    found = played(str(dancer_clip), "native", tmp_path, jack, "--pose-runtime", "mediapipe")
    assert found.opened == []
    assert found.denied


@pytest.mark.real
@pytest.mark.usefixtures("pose_model")
def test_a_planted_query_is_found(dancer_clip: Path, jack: Jack, tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "sitecustomize.py").write_text(PLANTED)
    found = played(str(dancer_clip), "native", tmp_path, jack, PYTHONPATH=f"{planted}:{network.ROOT}")
    assert found.opened


@pytest.mark.real
@pytest.mark.usefixtures("pose_model")
def test_a_camera_of_the_network_keeps_its_own_sockets(jack: Jack, tmp_path: Path) -> None:
    with NetworkCamera() as camera:
        assert played(camera.url, "native", tmp_path, jack).opened


@pytest.mark.real
@pytest.mark.usefixtures("pose_model")
def test_commands_without_processes_of_their_own_are_silent_too(dancer_clip: Path, tmp_path: Path) -> None:
    render = ("render", str(dancer_clip), "-o", str(tmp_path / "out.wav"), "--duration", "2", "--engine", "onnx")
    for command in (render, ("models", "check", "theremin")):
        try:
            found = network.traced([sys.executable, "-m", "livemove.cli", *command])
        except network.NoTracer as reason:
            unavailable(str(reason))
        assert (found.code, found.opened) == (0, []), found.said
