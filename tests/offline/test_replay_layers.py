"""Takes of layers, and takes from before there was stereo: made again to the bit."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sys
import tomllib
import wave
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from livemove.contracts import Action, Request
from livemove.ipc.logs import BLOCK_ROW
from livemove.synthesis.synthesis_config import Layer
from livemove.takes.folder import Table, samples24
from livemove.takes.reading import load_take
from tests.offline.test_replay import only, same_again
from tests.support.bundles import MAPPING, STYLES, random_bundle, small_spec, two_voices
from tests.support.real_time import in_real_time, timed
from tests.support.sessions import asking, child, made
from tests.support.stereo import centred

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped with signals here")


@in_real_time
def test_layers_through_all_that_can_happen_are_made_again_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stacks, the first of three layers, one with styles; levels move, stacks hand over, panic, a freeze, and
    synthesis dies and is followed by its spare; recorded from within."""
    takes, folder = tmp_path / "takes", tmp_path / "models"
    one, two = (random_bundle(folder / name, small_spec(name), seed).path for seed, name in enumerate(("one", "two")))
    voices = two_voices(folder / "voices", MAPPING + STYLES).path
    layers = (
        (Layer(one, pan=-0.5), Layer(voices, gain_db=-3.0, pan=0.8, transpose=7.0), Layer(one, note=60.0)),
        (Layer(two, pan=0.3), Layer(one)),
    )
    todo = {
        0.6: Action.RECORD,
        0.9: Request(Action.PAN_1, 0.9, absolute=True),
        1.1: Request(Action.GAIN_2, -12.0),
        1.3: Request(Action.MODEL, 1.0),
        1.6: Request(Action.PAN_2, -1.0),
        1.8: Request(Action.MODEL, 1.0),
        2.0: Request(Action.STYLE_2, 0.7, absolute=True),
        2.2: Action.FREEZE,
        2.4: Action.FREEZE,
        2.6: Action.PANIC,
        2.7: Action.MUTE,
        2.9: lambda: os.kill(child(1), signal.SIGKILL),
        5.0: Request(Action.PAN_3, -0.4, absolute=True),
        5.5: Action.RECORD,
    }
    report, notices = asking(
        monkeypatch, one, todo, layers=layers, folder=takes, duration_s=6.0, output=tmp_path / "whole.wav", seed=7
    )
    take = same_again(only(takes), tmp_path / "again.wav")
    sound = samples24(take.sound())
    assert np.abs(sound[:, 0] - sound[:, 1]).max() > 0.01, "the sides differ"
    assert any(line == "model: two+one" for line in notices)
    assert [model.layer for model in take.info.models] == [1, 2, 3, 1, 2]
    assert [model.transpose for model in take.info.models][:3] == [0.0, 7.0, 0.0]
    with timed():
        assert report["restarts"]["synthesis"] == 1
        assert set(take.hops["sounding"]) == {0.0, 1.0}
        assert np.isclose(take.hops["pan_1"], 0.9).any()


@pytest.fixture(scope="module")
def mono(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A take as versions before stereo wrote it: a mono WAV, one channel's state in each block, no layers anywhere."""
    folder = tmp_path_factory.mktemp("mono")
    model = random_bundle(folder / "one", small_spec("one")).path
    with pytest.MonkeyPatch.context() as monkeypatch:
        todo = {0.5: Action.RECORD, 1.0: Request(Action.GAIN, 18.0), 1.8: Action.RECORD}
        asking(monkeypatch, model, todo, output=folder / "w.wav", folder=folder / "t", duration_s=2.2)
    take = only(folder / "t")
    sound, rate = centred(take / "take.wav")
    read = load_take(take)
    left = np.ascontiguousarray(read.sound()[:, 0]).tobytes()
    with wave.open(str(take / "take.wav"), "wb") as file:
        file.setparams((1, 3, rate, 0, "NONE", ""))
        file.writeframes(left)
    halves = {"dc_in": (), "dc_out": (), "pending": (BLOCK_ROW["pending"].shape[0] // 2,)}
    row = np.dtype([(name, BLOCK_ROW[name].base, halves.get(name, BLOCK_ROW[name].shape)) for name in BLOCK_ROW.names])
    blocks = np.zeros(len(read.blocks), row)
    for name in row.names:
        column = read.blocks[name]
        if name in halves:  # the left side's, as those of mono
            column = column.reshape(len(blocks), 2, -1)[:, 0].reshape(blocks[name].shape)
        blocks[name] = column
    rewrite(take / "blocks.npy", blocks)
    names = [name for name in read.hops.dtype.names if not name.startswith(("gain_", "pan_"))]
    hops = np.zeros(len(read.hops), [(name, read.hops.dtype[name]) for name in names])
    for name in names:
        hops[name] = read.hops[name]
    rewrite(take / "hops.npy", hops)
    index = tomllib.loads((take / "take.toml").read_text())
    for each in index["models"]:
        for name in ("layer", "transpose", "note"):
            del each[name]
    (take / "take.toml").write_text(tomli_w.dumps(index))
    for state in take.glob("state-*.npz"):
        with np.load(state) as file:
            arrays = dict(file)
        head = str(arrays.pop("head"))
        assert '"levels"' in head
        arrays["head"] = np.array(head.replace('"levels"', '"unknown_then"'))
        np.savez(state, **arrays)
    assert np.abs(sound).max() > 0.01
    return take


def rewrite(path: Path, rows: np.ndarray) -> None:
    table = Table(path, rows.dtype)
    table.write(rows)
    table.close()


@in_real_time
def test_a_mono_take_is_read_and_made_again_to_the_bit(mono: Path, tmp_path: Path) -> None:
    take = load_take(mono)
    assert take.sides == 1
    assert take.sound().shape == (take.samples, 2, 3)
    report = made(mono, tmp_path / "again.wav")
    assert report["why_not"] is None
    assert report["identical"], report
    assert (tmp_path / "again.wav").read_bytes()[44:] == (mono / "take.wav").read_bytes()[44:], "mono, as it was"
    assert (take.blocks["gains"] < take.blocks["gains"].max()).any(), "the limiter was at work"


@in_real_time
def test_a_take_of_mono_and_stereo_files_is_refused(mono: Path, tmp_path: Path) -> None:
    from livemove.contracts import TakeError

    folder = tmp_path / "mixed"
    shutil.copytree(mono, folder)
    with wave.open(str(folder / "take-002.wav"), "wb") as file:
        file.setparams((2, 3, 48000, 0, "NONE", ""))
        file.writeframes(bytes(60))
    with pytest.raises(TakeError, match="one of its files is mono"):
        load_take(folder)


@in_real_time
def test_a_movement_plays_all_layers(mono: Path, tmp_path: Path) -> None:
    """Another engine: not to the bit, but through the layers that the take names; those of a mono take are one."""
    report = made(mono, tmp_path / "other.wav", engine="reference")
    assert report["model"] == "one"
    assert report["why_not"] == "native played, not reference"
    assert dataclasses.asdict(load_take(mono).info.models[0])["layer"] == 1
