"""The instrument offline: a real dancer in, the same file for the same seed out, and the pitch follows the hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from scipy.stats import spearmanr

from livemove.bundle import Bundle, find_bundle, load_bundle
from livemove.contracts import HOP, OutputError
from livemove.media import video_file
from livemove.offline.render import Progress, RenderConfig, RenderReport, check_output, render
from livemove.synthesis import architectures
from tests.support.bundles import random_bundle
from tests.support.following import channels_of
from tests.support.videos import make_clip
from training.metrics import pitched

SECONDS = 3.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The stage setting with random weights: loud noise, quick to make."""
    return random_bundle(tmp_path_factory.mktemp("render") / "stage", architectures.stage())


def rendered(config: RenderConfig) -> RenderReport:
    return render(config, lambda progress: None)


@pytest.fixture(scope="module")
def take(bundle: Bundle, dancer_clip: Path, pose_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RenderConfig:
    output = tmp_path_factory.mktemp("take") / "take.wav"
    config = RenderConfig(dancer_clip, output, bundle.path, duration_s=SECONDS, pose_model=pose_model)
    rendered(config)
    return config


@pytest.mark.real
def test_the_same_seed_gives_the_same_file(take: RenderConfig, tmp_path: Path) -> None:
    rendered(dataclasses.replace(take, output=tmp_path / "again.wav"))
    assert (tmp_path / "again.wav").read_bytes() == take.output.read_bytes()


@pytest.mark.real
def test_another_seed_gives_another_take(take: RenderConfig, tmp_path: Path) -> None:
    rendered(dataclasses.replace(take, output=tmp_path / "other.wav", seed=1))
    assert (tmp_path / "other.wav").read_bytes() != take.output.read_bytes()


@pytest.mark.real
def test_the_sound_is_as_long_as_asked_and_never_above_one(take: RenderConfig) -> None:
    audio, rate = sf.read(take.output)
    assert len(audio) == round(SECONDS * rate)
    assert 0.01 < np.abs(audio).max() <= 1.0


@pytest.mark.real
def test_it_tells_how_far_it_is(take: RenderConfig, tmp_path: Path) -> None:
    heard: list[Progress] = []
    report = render(dataclasses.replace(take, output=tmp_path / "film.mp4", duration_s=1.0), heard.append)
    sound = [p.done_s for p in heard if p.stage == "sound"]
    assert sound == sorted(sound)
    assert sound[-1] == heard[0].total_s == 1.0
    assert any(p.stage == "video" for p in heard)
    assert report["frames"] == report["poses"] == pytest.approx(25, abs=1)


@pytest.mark.real
def test_an_mp4_has_the_dance_and_its_sound(take: RenderConfig, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        rendered(dataclasses.replace(take, output=tmp_path / name, duration_s=2.0))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert np.sqrt(np.mean(sound**2)) > 0.01
    assert len(sound) / 48000 == pytest.approx(2.0, abs=0.05)
    assert video_file.probe(tmp_path / "a.mp4").seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.real
def test_a_failed_render_leaves_the_old_file_and_no_other(take: RenderConfig, tmp_path: Path) -> None:
    (tmp_path / "take.wav").write_bytes(b"precious")

    def fail(progress: Progress) -> None:
        if progress.done_s > 0.2:
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        render(dataclasses.replace(take, output=tmp_path / "take.wav"), fail)
    assert (tmp_path / "take.wav").read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["take.wav"]


@pytest.mark.parametrize("name", ["x.ogg", "nowhere/x.wav", "x"])
def test_an_output_that_cannot_be_is_refused_first(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"x"):
        check_output(tmp_path / name)


@pytest.mark.real
def test_what_is_sent_to_effects_is_heard_in_stereo_and_dry_it_is_the_file_as_ever(
    take: RenderConfig, tmp_path: Path
) -> None:
    """Dry, the file is byte for byte the one without effects, whatever the mapping plays of them."""
    mapping, (dry, rate) = tmp_path / "mapping.toml", sf.read(take.output)
    own = find_bundle(str(take.model)) / "mapping.toml"
    played = '\n[effects]\nreverb = "energy"\n[effects.delay]\nsource = "presence"\nfrom = [0, 1]\nto = [0, 0.5]\n'
    mapping.write_text(own.read_text() + played)
    sounds: list[np.ndarray] = []
    for name, options in (("sent", {"reverb": 0.5}), ("played", {"mapping": mapping})):
        config = dataclasses.replace(take, output=tmp_path / f"{name}.wav", **options)
        rendered(config)
        sounds.append(sf.read(config.output)[0])
        rendered(dataclasses.replace(config, output=tmp_path / "dry.wav", dry=True))
        assert (tmp_path / "dry.wav").read_bytes() == take.output.read_bytes()
    for wet in sounds:
        assert wet.shape == (len(dry), 2)
        assert np.abs(wet - dry[:, None])[rate:].max() > 0.01
        assert np.abs(wet[:, 0] - wet[:, 1]).max() > 1e-3


@pytest.mark.real
def test_nobody_in_view_is_silence(pose_model: Path, tmp_path: Path) -> None:
    """The shipped theremin rests: at most -50 dBFS."""
    clip, output = make_clip(tmp_path / "empty.mp4", "libx264", count=50, width=320, height=240), tmp_path / "out.wav"
    report = rendered(RenderConfig(clip, output, find_bundle("theremin"), pose_model=pose_model))
    audio, _ = sf.read(output)
    assert report["poses"] == 0
    assert 20 * np.log10(np.sqrt(np.mean(audio**2)) + 1e-9) <= -50


@pytest.mark.real
def test_the_pitch_follows_the_dancers_right_hand(dancer_clip: Path, pose_model: Path, tmp_path: Path) -> None:
    """Landmarks taken a second time, on their own; the pitch found in the sound by YIN."""
    seconds, output = 15.0, tmp_path / "played.wav"
    theremin = load_bundle("theremin")
    rendered(RenderConfig(dancer_clip, output, theremin.path, pose_model=pose_model, duration_s=seconds))
    audio, rate = sf.read(output, dtype="float32")
    hops = len(audio) // HOP

    channels, wrist = channels_of(dancer_clip, theremin, hops, pose_model)
    assert len(channels) == hops
    found = pitched.track_pitch(audio, rate, 0, hops)
    heard = pitched.voiced(channels)
    assert heard.mean() > 0.2, "the dancer hardly plays: the test would prove nothing"
    assert spearmanr(channels[heard, 0], found[heard])[0] >= 0.8
    assert spearmanr(wrist[heard], found[heard])[0] >= 0.6
