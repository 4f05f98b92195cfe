"""A take of a stranger: whatever is in it, it is read or is one line; no other file is read, and none is waited for."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livemove.contracts import LivemoveError, TakeError
from livemove.ipc.segment import BLOCK_ROW, Segment
from livemove.native._realtime import Output
from livemove.offline.replay import ReplayConfig, live_choice, replay
from livemove.offline.take_video import write_take_video
from livemove.takes.folder import TakeWriter, pcm24
from livemove.takes.history import POSE
from livemove.takes.reading import load_take
from tests.takes.test_folder import HOPS, INFO, noise, written

OUT = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")


def refusal(folder: Path) -> str:
    with pytest.raises(TakeError) as caught:
        load_take(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def edit_index(folder: Path, old: str, new: str) -> None:
    file = folder / "take.toml"
    text = file.read_text(encoding="utf-8")
    assert re.search(old, text)
    file.write_text(re.sub(old, lambda _: new, text, count=1), encoding="utf-8")


@pytest.fixture
def take(tmp_path: Path) -> Path:
    written(tmp_path / "take").close()
    return tmp_path / "take"


@OUT
@pytest.mark.parametrize("name", ["take.toml", "take.wav", "hops.npy", "state-001.npz"])
def test_links_and_pipes_are_not_followed(take: Path, tmp_path: Path, name: str) -> None:
    file = take / name
    file.rename(tmp_path / "outside")
    file.symlink_to(tmp_path / "outside")
    assert f"{name}: is no plain file" in refusal(take)
    file.unlink()
    os.mkfifo(file)
    assert f"{name}: is no plain file" in refusal(take)


@OUT
def test_a_mapping_that_is_a_link_is_not_read(take: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password\n")
    (take / "mapping.toml").unlink()
    (take / "mapping.toml").symlink_to(tmp_path / "secret")
    with pytest.raises(TakeError, match="no plain file"):
        live_choice(take, None, None)


ENTRIES: dict[str, tuple[str, str, str]] = {
    "climbs": (r'mapping = "mapping.toml"', 'mapping = "../../mapping.toml"', "the name of a file in the take"),
    "absolute": (r'mapping = "mapping.toml"', 'mapping = "/etc/passwd"', "the name of a file in the take"),
    "climbs on Windows": (r'mapping = "mapping.toml"', r"mapping = '..\..\x'", "the name of a file in the take"),
    "another machine": (r'path = "/m"', r"path = '\\evil\share'", "a folder of this machine"),
    "no models": (r"(?s)\[\[models\]\].*", "models = []", "models"),
    "a model that is none": (r"(?s)\[\[models\]\].*", "models = [3]", "models"),
    "rate a text": (r"\nrate = 48000", '\nrate = "48000"', "rate: expected int"),
    "rate nothing": (r"\nrate = 48000", "\nrate = 0", "rate: 0 is outside 8000.."),
    "rate huge": (r"\nrate = 48000", "\nrate = 99999999999999999999", "rate"),
    "clock nan": (r"clock_s = 1.5", "clock_s = nan", "clock_s"),
    "started a number": (r"started = [^\n]*", "started = 3", "started: expected datetime"),
    "sources numbers": (r"(?s)sources = \[.*?\]", "sources = [1, 2]", "sources: expected texts"),
    "unknown": (r"\nseed", "\nspeed = 1\nseed", "speed"),
    "missing": (r"\nseed = 3", "", "seed"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_that_makes_no_sense_is_named(take: Path, name: str) -> None:
    old, new, why = ENTRIES[name]
    edit_index(take, old, new)
    message = refusal(take)
    assert "take.toml" in message
    assert why in message


def npy(rows: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, np.lib.format.header_data_from_array_1_0(rows))
    return out.getvalue() + rows.tobytes()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def poses(**fields: object) -> bytes:
    rows = np.zeros(2, POSE)
    for name, value in fields.items():
        rows[name] = value
    return npy(rows)


TABLES: dict[str, tuple[str, bytes]] = {
    "objects": ("hops.npy", header("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }\n") + bytes(8)),
    "nothing in a row": ("hops.npy", header("{'descr': [('a', '|V0')], 'fortran_order': False, 'shape': (1,), }\n")),
    "no names": ("hops.npy", npy(np.zeros(3))),
    "a header that is no literal": ("hops.npy", header("__import__('os').system('id')\n")),
    "a deep header": ("hops.npy", header("(" * 5000)),
    "no frames": ("blocks.npy", npy(np.zeros(2, [("a", "<i8")]))),
    "frames a vector": ("blocks.npy", npy(np.zeros(2, [("frames", "<i8", 3)]))),
    "negative frames": ("blocks.npy", npy(np.array([(-4,)], [("frames", "<i8")]))),
    "a block of hours": ("blocks.npy", npy(np.array([(1 << 40,)], [("frames", "<u8")]))),
    "a fifth person": ("poses.npy", poses(person=4)),
    "a person below nobody": ("poses.npy", poses(person=-1)),
    "too many people": ("poses.npy", poses(people=1 << 40)),
    "poses of another shape": ("poses.npy", npy(np.zeros(2, [("capture_s", "<f8")]))),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_was_made_to_be_read_is_one_line(take: Path, name: str) -> None:
    file, content = TABLES[name]
    (take / file).write_bytes(content)
    assert file in refusal(take)


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("head.npy", bytes((1 << 26) + 1))
    return out.getvalue()


def test_an_engine_state_that_unpacks_to_a_bomb_is_not_unpacked(take: Path) -> None:
    assert len(bomb()) < 1 << 20
    (take / "state-001.npz").write_bytes(bomb())
    assert "would unpack" in refusal(take)


def test_an_engine_state_is_no_pickle(take: Path) -> None:
    np.savez(take / "state-001.npz", head=np.array('{"hop": 0}'), phase=np.array([print], object))
    assert "state-001.npz: cannot be read: Object arrays" in refusal(take)


def test_sound_of_another_shape_is_refused(take: Path) -> None:
    import wave

    with wave.open(str(take / "take.wav"), "wb") as file:
        file.setparams((2, 2, 48000, 0, "NONE", ""))
        file.writeframes(bytes(64))
    assert "take.wav: the sound of a take is stereo or mono, with 24 bits" in refusal(take)


def whole(folder: Path) -> Path:
    """A take with poses, hops and blocks as livemove writes them."""
    folder.mkdir()
    writer = TakeWriter(folder, INFO, {"mapping.toml": "[channels.pitch]\n"})
    writer.sound(pcm24(noise(256)))
    blocks = np.zeros(2, BLOCK_ROW)
    blocks["frames"], blocks["dac_s"] = 128, (0.0, 0.1)
    numbers = ("life_s", "hop", "began_s", "samples", "first_sample", "sounding")
    vectors = ("sources", "channels", "leaving")
    hops = np.zeros(2, [*((name, "<f8") for name in numbers), *((name, "<f4", 1) for name in vectors)])
    rows = np.zeros(2, POSE)
    rows["people"], rows["image"] = 1, 0.5
    for name, table in (("blocks", blocks), ("hops", hops), ("poses", rows)):
        writer.rows(name, table)
    writer.close()
    return folder


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_one_line_or_a_take_that_can_be_read(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "fuzzed"
    if not folder.exists():
        written_whole = whole(folder)
        assert load_take(written_whole).samples == 256
    file = data.draw(st.sampled_from(sorted(p for p in folder.iterdir() if p.is_file())))
    intact = file.read_bytes()
    at = data.draw(st.integers(0, len(intact) - 1) | st.integers(0, min(200, len(intact) - 1)))
    piece = data.draw(st.binary(max_size=12))
    damaged = data.draw(st.sampled_from([intact[:at], intact[:at] + piece + intact[at + len(piece) :]]))
    message = ""
    try:
        file.write_bytes(damaged)
        try:
            take = load_take(folder)
            for look in (take.sound, lambda: list(take.frames()), take.video):
                look()
        except TakeError as error:
            message = str(error)
        assert "\n" not in message
    finally:
        file.write_bytes(intact)


def test_a_take_whose_files_do_not_fit_together_is_one_line(tmp_path: Path, small_bundle: object) -> None:
    folder = whole(tmp_path / "take")
    path = str(small_bundle.path)  # type: ignore[attr-defined]
    for change in ("hops", "blocks"):
        content = npy(HOPS) if change == "hops" else npy(np.array([(128,), (128,)], [("frames", "<i8")]))
        intact = (folder / f"{change}.npy").read_bytes()
        (folder / f"{change}.npy").write_bytes(content)
        todo: list[Callable[[], object]] = [
            lambda: replay(ReplayConfig(folder, tmp_path / "out.wav", path), lambda *_: None),
            lambda: write_take_video(load_take(folder), tmp_path / "out.mp4", lambda _: None),
        ]
        for work in todo if change == "blocks" else todo[:1]:
            message = ""
            try:
                work()
            except LivemoveError as error:
                message = str(error)
            assert "\n" not in message
        (folder / f"{change}.npy").write_bytes(intact)


def test_a_block_cannot_reach_out_of_the_callbacks_tables(segment: Segment) -> None:
    """position and state are an index and a choice, in a file: held to their ranges, whatever it says."""
    for position, state in ((1 << 20, 1), ((1 << 32) - 1, 2), (5, 1 << 33), (1 << 40, 7)):
        output = Output(segment.bytes, 48000.0, 1, 0.0)
        block = np.zeros(1, BLOCK_ROW)
        block["position"], block["state"], block["gain"], block["gain_target"] = position, state, 1.0, 1.0
        segment.ring.write(np.full(512, 0.25, np.float32))
        output.restore(block.view(np.uint8))
        played = output.render(256)
        assert np.abs(played).max() <= 0.26
