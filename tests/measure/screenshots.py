"""Screenshots of the window over a real performance: `python -m tests.measure.screenshots DIR --camera dancer.avi`.

In: options. Out: DIR/VIEW-WIDTHxHEIGHT.png for each view and size, and DIR/VIEW.png with all sizes side by side, for
the docs. The performance has a JACK of its own and a camera on loopback that shows the video; for the view "fault" that
camera goes. The window is drawn off screen, by the same code, from the session's shared memory.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from livemove.ipc.segment import Segment
from tests.support.mjpeg import NetworkCamera
from tests.support.paths import ROOT
from tests.support.servers import Jack

SIZES = ((800, 480), (1280, 720), (2560, 1440))
HEIGHT, GAP = 480, 12
"""Of each screenshot in a row of sizes, and between them, in pixels."""
REDRAW_S = 1 / 26


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--camera", type=Path, required=True, metavar="VIDEO")
    parser.add_argument("--model", default="cello+bodydrum")
    parser.add_argument("--pose-model", type=Path)
    parser.add_argument("--seconds", type=float, default=8.0, help="of playing before the first screenshot")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, Jack() as jack, NetworkCamera(draw=images_of(asked.camera)) as camera:
        command = [
            *(sys.executable, "-m", "livemove.cli", "perform", "--camera", camera.url, "--model", asked.model),
            *("--monitor", "--record", "--takes", name),
            *(("--pose-model", str(asked.pose_model)) if asked.pose_model else ()),
        ]
        environment = {**os.environ, **jack.environment, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT)}
        said = Path(name) / "said.txt"
        with said.open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            segment = attached(process, said)
            time.sleep(asked.seconds)
            take_screenshots(asked.folder, segment, asked.model, camera)
            segment.close()
        finally:
            process.terminate()  # in the background of a script Ctrl-C is ignored
            process.wait(20)


def images_of(video: Path) -> Callable[[], np.ndarray]:
    """What the camera sees: the first ten seconds, round and round."""
    with av.open(str(video)) as container:
        frames = [
            frame.to_ndarray(format="rgb24") for frame, _ in zip(container.decode(video=0), range(250), strict=False)
        ]
    place = iter(range(1 << 62))
    return lambda: frames[next(place) % len(frames)]


def attached(process: subprocess.Popen[bytes], said: Path) -> Segment:
    """The session's shared memory, once it sounds. Raises SystemExit with what it said instead."""
    segment: Segment | None = None
    deadline_s = time.monotonic() + 60
    while segment is None or not segment.playback.first_sound_s:
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise SystemExit(f"it does not play: {said.read_text()[-400:]}")
        time.sleep(0.05)
        with contextlib.suppress(OSError, ValueError):  # not there yet, or not filled yet
            if segment is None:
                found = re.search(r"/dev/shm/(livemove-\w+)", Path(f"/proc/{process.pid}/maps").read_text())
                segment = Segment.attach(found.group(1)) if found else None
    return segment


def take_screenshots(folder: Path, segment: Segment, model: str, camera: NetworkCamera) -> None:
    """Every view in every size."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QApplication, QWidget

    from livemove.bundle import load_bundle
    from livemove.cli.layers import read_layers
    from livemove.monitor.monitor_config import MonitorConfig
    from livemove.monitor.window import MonitorWindow

    application = QApplication.instance() or QApplication([])
    bundles = [load_bundle(layer.model) for layer in read_layers(model, print)]
    names = tuple(bundle.spec.name for bundle in bundles)
    config = MonitorConfig(bundles[0].spec, bundles[0].mapping_path, camera.url, audience=True, layers=(names,))
    window = MonitorWindow(segment, config)
    window.show()
    assert window.audience is not None

    def shoot(view: str, seen: QWidget) -> None:
        for width, height in SIZES:
            seen.resize(width, height)
            for _ in range(round(2.0 / REDRAW_S)):
                window.tick()
                application.processEvents()
                time.sleep(REDRAW_S)
            seen.grab().save(str(folder / f"{view}-{width}x{height}.png"))
        side_by_side(folder, view)

    shoot("normal", window)
    QTest.keyClick(window, Qt.Key.Key_Question)
    shoot("help", window)
    QTest.keyClick(window, Qt.Key.Key_Question)
    QTest.keyClick(window, Qt.Key.Key_S)
    shoot("stage", window)
    window.audience.show()
    shoot("audience", window.audience)
    window.audience.hide()
    QTest.keyClick(window, Qt.Key.Key_S)
    camera.mode = "drop"
    time.sleep(4.0)
    shoot("fault", window)
    window.close()


def side_by_side(folder: Path, view: str) -> None:
    """All sizes of a view in one image, each HEIGHT high."""
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QColor, QImage, QPainter

    images = [QImage(str(folder / f"{view}-{width}x{height}.png")) for width, height in SIZES]
    smooth = Qt.TransformationMode.SmoothTransformation
    images = [image.scaledToHeight(HEIGHT, smooth) for image in images]
    row = QImage(sum(p.width() for p in images) + GAP * (len(images) - 1), HEIGHT, QImage.Format.Format_RGB32)
    row.fill(QColor("white"))
    painter = QPainter(row)
    left = 0
    for image in images:
        painter.drawImage(left, 0, image)
        left += image.width() + GAP
    painter.end()
    row.save(str(folder / f"{view}.png"))


if __name__ == "__main__":
    main()
