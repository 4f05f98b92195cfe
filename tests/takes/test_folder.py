"""The format of takes: whole after every write, in order, in one piece however it ended."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import wave
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from livemove.contracts import OutputError, TakeError
from livemove.takes.folder import (
    Snapshot,
    Sound,
    Table,
    TakeInfo,
    TakenModel,
    TakeWriter,
    make_folder,
    part,
    pcm24,
    samples24,
    unfinished,
)
from livemove.takes.reading import load_take

INFO = TakeInfo(
    livemove="0",
    started=datetime(2026, 1, 31, 20, 30, tzinfo=UTC),
    clock_s=1.5,
    rate=48000,
    model_rate=48000,
    block=4,
    seed=3,
    camera='a "camera" \\ of ours',
    sources=("presence",),
    models=(TakenModel("m", "/m", "00", "native", 2.5, ("pitch",), "mapping.toml"),),
)
BLOCKS = np.array([(4, 0.0), (4, 1.0), (4, 2.0)], [("frames", "<u8"), ("start_s", "<f8")])
HOPS = np.array([(0.0, [1, 2])], [("hop", "<f8"), ("sources", "<f4", 2)])
NOBODY = np.zeros(0, [("capture_s", "<f8"), ("sequence", "<i8"), ("people", "<i8")])


def noise(samples: int) -> np.ndarray:
    """float32 [samples, 2]"""
    return np.random.default_rng(0).uniform(-1, 1, (samples, 2)).astype(np.float32)


def written(folder: Path) -> TakeWriter:
    folder.mkdir()
    writer = TakeWriter(folder, INFO, {"mapping.toml": "[channels.pitch]\n"})
    writer.sound(pcm24(noise(12)))
    for name, rows in (("blocks", BLOCKS), ("hops", HOPS), ("poses", NOBODY)):
        writer.rows(name, rows)
    writer.state(Snapshot({"hop": 0, "noise": [[2**64 - 1]]}, {"phase": np.array([0.25])}))
    return writer


def test_24_bits_come_back_as_they_were() -> None:
    steps = np.array([-(2**23), -1, 0, 1, 2**23 - 1]) / 2**23
    assert samples24(pcm24(steps.astype(np.float32))).tolist() == steps.tolist()
    assert samples24(pcm24(np.array([2.0, -2.0], np.float32))).tolist() == [(2**23 - 1) / 2**23, -1.0]


def test_a_wav_is_whole_after_every_write(tmp_path: Path) -> None:
    """Read from the disk while it is open: what a kill -9 would leave."""
    sound, x = Sound(tmp_path / "take.wav", 48000), noise(3000)
    for at in range(0, 3000, 1000):
        assert soundfile.info(tmp_path / "take.wav").frames == at
        sound.write(pcm24(x[at : at + 1000]))
    heard, rate = soundfile.read(tmp_path / "take.wav", dtype="float32")
    assert rate == 48000
    assert np.array_equal(heard, samples24(pcm24(x)))
    sound.close()


def test_before_a_wav_is_too_long_the_next_one_begins(tmp_path: Path) -> None:
    sound, x = Sound(tmp_path / "take.wav", 48000, limit_bytes=6000), noise(2500)
    for piece in np.array_split(x, 7):
        sound.write(pcm24(piece))
    sound.close()
    parts = [soundfile.read(part(tmp_path / "take.wav", i), dtype="float32")[0] for i in (1, 2, 3)]
    assert [len(each) for each in parts] == [1000, 1000, 500]
    assert np.array_equal(np.concatenate(parts), samples24(pcm24(x)))


def test_a_table_is_a_plain_npy_after_every_write(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.npy", BLOCKS.dtype)
    for n in range(1, 12):
        table.write(BLOCKS)
        assert np.array_equal(np.load(tmp_path / "t.npy"), np.tile(BLOCKS, n))
    table.close()


def test_a_take_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written(tmp_path / "take").close()
    take = load_take(tmp_path / "take")
    assert take.info == INFO
    assert take.blocks.tolist() == BLOCKS.tolist()
    assert take.hops["sources"].tolist() == [[1, 2]]
    assert np.array_equal(take.sound(), pcm24(noise(12)))
    assert take.snapshots[0].head == {"hop": 0, "noise": [[2**64 - 1]]}
    assert take.snapshots[0].arrays["phase"].tolist() == [0.25]
    assert (tmp_path / "take" / "mapping.toml").read_text() == "[channels.pitch]\n"


def test_a_take_of_several_wavs_is_one_sound(tmp_path: Path) -> None:
    (tmp_path / "take").mkdir()
    writer, x = TakeWriter(tmp_path / "take", INFO, {}, wav_bytes=30), pcm24(noise(12))
    for name, rows in (("blocks", BLOCKS), ("hops", HOPS), ("poses", NOBODY)):
        writer.rows(name, rows)
    for piece in np.array_split(x, 5):
        writer.sound(piece)
    writer.close()
    assert part(tmp_path / "take" / "take.wav", 3).exists()
    assert np.array_equal(load_take(tmp_path / "take").sound(), x)


def test_what_no_header_counts_yet_is_read_and_what_is_half_is_not(tmp_path: Path) -> None:
    """A kill in the middle of a write: a row no header knows, half a row, a block without its sound."""
    written(tmp_path / "take").close()
    with (tmp_path / "take" / "blocks.npy").open("ab") as file:
        file.write(BLOCKS[:1].tobytes() + b"half")
    take = load_take(tmp_path / "take")
    assert len(take.blocks) == 3, "a block whose sound is not there"
    assert take.samples == len(take.sound()) == 12


def test_a_take_that_was_broken_off_is_known_by_what_is_left_in_it(tmp_path: Path) -> None:
    writer = written(tmp_path / "take")
    line = unfinished(tmp_path / "take")
    assert str(tmp_path / "take") in line
    assert "never finished" in line
    assert "\n" not in line
    assert load_take(tmp_path / "take").samples == 12
    writer.close()
    assert unfinished(tmp_path / "take") == ""


def test_two_takes_of_one_second_have_two_folders(tmp_path: Path) -> None:
    now = datetime(2026, 1, 31, 20, 30)
    names = [make_folder(tmp_path, now).name for _ in range(2)]
    assert names == ["take-20260131-203000", "take-20260131-203000-2"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.*--takes"):
        make_folder(tmp_path / "file", datetime(2026, 1, 31))


@pytest.mark.parametrize("damage", ["take.toml", "hops.npy", "take.wav", "state-001.npz"])
def test_a_damaged_take_names_the_file(damage: str, tmp_path: Path) -> None:
    written(tmp_path / "take").close()
    (tmp_path / "take" / damage).write_bytes(b"\x00nonsense")
    with pytest.raises(TakeError, match=damage.replace(".", r"\.")):
        load_take(tmp_path / "take")


def test_a_take_of_another_format_says_which(tmp_path: Path) -> None:
    folder = tmp_path / "take"
    folder.mkdir()
    TakeWriter(folder, dataclasses.replace(INFO, format=9), {}).close()
    with pytest.raises(TakeError, match="format 9"):
        load_take(folder)


FULL = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from livemove.takes.folder import Sound
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sound = Sound(Path(sys.argv[1]), 48000)
try:
    for _ in range(100):
        sound.write(np.zeros((100, 2, 3), np.uint8))
except OSError as error:
    print("OSError")
try:
    sound.close()
except OSError:
    print("again")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
def test_a_full_disk_leaves_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert "OSError" in done.stdout
    with wave.open(str(path), "rb") as file:
        assert file.getnframes() >= 3000
        assert len(file.readframes(file.getnframes())) == 6 * file.getnframes()
