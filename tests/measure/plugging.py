"""Audio devices and cameras changed while it plays: `python -m tests.measure.plugging [--clip FILE]`, servers and all.

In: options. Out: one JSON line: what was told; for every change of the audio device how long it was silent; clicks
(support/clicks.py) in what was played, and in what JACK and PulseAudio heard; starvations and restarts. PulseAudio has
48,000 samples a second and JACK 44,100, so that each change of the audio device is one of the rate, too.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from pythonosc.udp_client import SimpleUDPClient

from livemove.bundle import find_bundle
from livemove.control.control_config import ControlConfig
from livemove.session.perform import SessionConfig, Status, run_session
from livemove.takes.reading import load_take
from tests.support.clicks import clicks
from tests.support.servers import Jack, Pulse
from tests.support.stereo import centred

TALK = (
    (4.0, "/livemove/device", "system"),
    (9.0, "/livemove/device/by", -1),
    (14.0, "/livemove/device", "Theremin 3000"),
    (19.0, "/livemove/camera", "CLIP"),
    (26.0, "/livemove/camera", "http://127.0.0.1:9/nobody"),
    (32.0, "/livemove/camera/by", 1),
    (38.0, "/livemove/device", 1),
)
"""When, what. CLIP: the film, if there is one; the cameras are then demo and the film."""


def silences(x: npt.NDArray[np.float32], rate: int) -> list[tuple[float, int]]:
    """(since, how long) of those of more than 200 ms, with sound before and after."""
    loud = np.flatnonzero(np.abs(x) > 1e-5)
    gaps = np.diff(loud) / rate * 1e3
    return [(round(float(loud[i]) / rate, 2), round(float(gaps[i]))) for i in np.flatnonzero(gaps > 200.0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="a film of somebody who moves")
    options = parser.parse_args()
    told: list[str] = []
    cards: list[tuple[float, str]] = []
    begun = threading.Event()
    with tempfile.TemporaryDirectory() as name, Jack(rate=44100) as jack, Pulse() as pulse:
        folder = Path(name)
        os.environ.update({**jack.environment, **pulse.environment})
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        client = SimpleUDPClient("127.0.0.1", port)

        def talk() -> None:
            begun.wait()
            began_s = time.monotonic()
            for at_s, where, what in TALK:
                if what == "CLIP":
                    what = str(options.clip) if options.clip else "demo"
                time.sleep(max(began_s + at_s - time.monotonic(), 0.0))
                client.send_message(where, what)
                if what == "system":
                    while not (cards and "JACK" in cards[-1][1]):
                        time.sleep(0.05)
                    jack.record(folder / "jack.wav", 3)
            time.sleep(5.0)
            os.kill(os.getpid(), 2)

        def on_status(status: Status) -> None:
            if status.notice:
                told.append(status.notice)
            if status.phase == "playing":
                begun.set()
                if status.device and (not cards or cards[-1][1] != status.device):
                    cards.append((round(status.seconds, 1), status.device))

        listening = ["parec", "-d", "lm.monitor", "--format=float32le", "--rate=48000", "--channels=1", "--raw"]
        thread = threading.Thread(target=talk)
        thread.start()
        with (folder / "pulse.f32").open("wb") as sink:
            parec = subprocess.Popen(listening, stdout=sink, stderr=subprocess.DEVNULL)
            config = SessionConfig.of(
                model=find_bundle("theremin"), camera="demo", monitor=False, output=folder / "played.wav",
                folder=folder / "takes", record=True, control=ControlConfig(osc=("127.0.0.1", port)), device="pulse",
            )  # fmt: skip
            report = run_session(config, on_status)
            parec.terminate()
            parec.wait()
        thread.join()
        played = [centred(path) for path in sorted(folder.glob("played*.wav"))]
        takes = [load_take(path) for path in sorted((folder / "takes").iterdir())]
        heard = np.fromfile(folder / "pulse.f32", np.float32)
        jacks, jack_rate = soundfile.read(folder / "jack.wav", dtype="float32")
    print(
        json.dumps(
            {
                "told": told,
                "cards": cards,
                "files": [{"rate": rate, "seconds": round(len(x) / rate, 2)} for x, rate in played],
                "takes": [{"rate": take.info.rate, "seconds": round(take.seconds, 2)} for take in takes],
                "silent": silences(heard, 48000),
                "clicks": {
                    "played": sum(len(clicks(x)) for x, _ in played),
                    "by pulse": len(clicks(heard)),
                    "by jack": len(clicks(jacks[:, 0])),
                },
                "clicks_s": {
                    "played": [[round(at / rate, 3) for at in clicks(x).tolist()] for x, rate in played],
                    "by pulse": [round(at / 48000, 3) for at in clicks(heard).tolist()],
                },
                "jack_rms": round(float(np.sqrt(np.mean(jacks**2))), 3),
                "jack_rate": jack_rate,
                "ring_starvations": report["ring_starvations"],
                "late_callbacks": report["late_callbacks"],
                "restarts": report["restarts"],
                "pose_fps": report["pose_fps"],
            }
        )
    )


if __name__ == "__main__":
    main()
