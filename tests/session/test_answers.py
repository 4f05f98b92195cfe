"""Keys of the terminal and OSC in a whole performance: what is said, what is kept, and what sounds."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import numpy as np
from pythonosc.osc_packet import OscPacket

from livemove.body.features import FEATURES
from livemove.control import keys
from livemove.control.control_config import ControlConfig
from livemove.control.keys import Typed
from livemove.session.perform import SessionConfig, Status, run_session
from livemove.takes.reading import load_take
from tests.support.osc import free_port, packet
from tests.support.real_time import in_real_time, timed
from tests.support.sessions import made


class Stage:
    """A performance of the demo dancer; what is typed or sent at which second of it."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.model, self.folder = model, folder
        self.notices: list[str] = []
        self.kept: list[tuple[Status, str]] = []
        self.back: list[list[object]] = []

    def play(self, typed: dict[float, str], sent: dict[float, bytes], duration_s: float, record: bool = False) -> None:
        keyed, packets, seconds = sorted(typed.items()), sorted(sent.items()), [0.0]
        port = free_port()
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

        def on_status(status: Status) -> None:
            seconds[0] = status.seconds if status.phase == "playing" else 0.0
            if status.notice:
                self.notices.append(status.notice)
            while packets and seconds[0] >= packets[0][0]:
                sender.sendto(packets.pop(0)[1], ("127.0.0.1", port))

        def type_keys() -> Typed:
            return keys.understood(keyed.pop(0)[1]) if keyed and seconds[0] >= keyed[0][0] else Typed()

        def keep(status: Status, name: str) -> str:
            self.kept.append((status, name))
            time.sleep(0.3)  # a slow disk: the loop goes on
            return f"kept {name or 'free'}"

        config = SessionConfig.of(
            model=self.model, camera="demo", output=self.folder / "t.wav", play=False, monitor=False, record=record,
            folder=self.folder / "takes", duration_s=duration_s, control=ControlConfig(osc=("127.0.0.1", port)),
        )  # fmt: skip
        run_session(config, on_status, type_keys, keep)
        sender.settimeout(0.2)
        try:
            while True:
                self.back += [t.message.params for t in OscPacket(sender.recv(65535)).messages]
        except TimeoutError:
            sender.close()
        with timed():
            assert not keyed
            assert not packets


@in_real_time
def test_typed_keys_say_what_they_did_and_why_they_did_nothing(model: Path, tmp_path: Path) -> None:
    stage = Stage(model, tmp_path)
    stage.play({0.4: "m", 0.8: "x", 1.2: "n", 1.6: "#", 2.0: "t" * 5, 3.2: "b", 3.4: "p", 3.8: "?"}, {}, 5.5)
    found = stage.notices
    for line in ("muted: M brings the sound back", "hands swapped: left plays what right played", "kept free"):
        assert found.count(line) == 1, line
    assert any("the only model that is loaded" in line for line in found)
    assert any("no presets are loaded" in line for line in found)
    assert "# does nothing here: ? lists the keys" in found
    assert "temperature 1.25" in found  # five presses are one line
    assert keys.HELP in found
    ((status, name),) = stage.kept
    assert name == ""
    assert (status.controls.mute, status.controls.swap_hands) == (True, True)


@in_real_time
def test_osc_keeps_a_preset_swaps_hands_and_hears_its_mistakes(model: Path, tmp_path: Path) -> None:
    stage = Stage(model, tmp_path)
    sent = {
        0.4: packet("/livemove/swap_hands", 1), 0.8: packet("/livemove/save_preset", "soft"),
        1.2: packet("/livemove/scale", "blus"), 1.4: packet("/livemove/scale", "blus"),
        1.6: packet("/livemove/save_preset", "a/b"), 2.0: packet("/livemove/octave", 4),
        2.6: packet("/livemove/model/by", 1),
    }  # fmt: skip
    stage.play({}, sent, 4.5)
    assert [name for _, name in stage.kept] == ["soft"]
    assert stage.kept[0][0].controls.swap_hands
    assert "kept soft" in stage.notices
    assert [values[0] for values in stage.back] == ["/livemove/scale", "/livemove/save_preset"]
    assert sum("there is no scale 'blus'" in line for line in stage.notices) == 1
    assert sum("is no name for a preset" in line for line in stage.notices) == 1
    assert any(line.startswith("octave +4, no further than +") for line in stage.notices)
    assert any("the only model that is loaded" in line for line in stage.notices)


@in_real_time
def test_swapped_hands_are_in_the_take_and_made_again_to_the_bit(model: Path, tmp_path: Path) -> None:
    """The demo dancer's arms are not alike: from the swap on each channel follows the other arm."""
    stage = Stage(model, tmp_path)
    stage.play({1.5: "x"}, {}, 3.5, record=True)
    (folder,) = (tmp_path / "takes").iterdir()
    take = load_take(folder)
    swapped = take.hops["swap_hands"] == 1.0
    assert swapped.any()
    assert not swapped.all()
    left, right = (take.hops["sources"][:, FEATURES.index(f"{side}_hand_height")] for side in ("left", "right"))
    for hops, height in ((~swapped, right), (swapped, left)):
        played = take.hops["channels"][hops, 0]
        expected = 57.0 + 12.0 * (height[hops] + 1.0)
        resting = take.hops["sources"][hops, 0] < 1.0  # who comes in is eased in
        np.testing.assert_allclose(played[~resting], np.clip(expected, 57.0, 81.0)[~resting], atol=1e-3)
    assert made(folder, tmp_path / "again.wav")["identical"]
