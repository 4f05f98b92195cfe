"""The evaluation's measures on sounds whose answers are known, its report, and a real dancer through a model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from livemove.body.features import FEATURES
from livemove.bundle import Bundle, load_bundle
from livemove.capture.demo import pose_at
from livemove.contracts import HOP, Channel, Float32, LivemoveError
from livemove.offline.render import RenderConfig
from livemove.synthesis.engines import make_engine
from livemove.synthesis.reference import ReferenceEngine
from tests.support import note_corpus
from tests.support.bundles import random_bundle, small_spec
from tests.support.paths import THEREMIN
from training import evaluate
from training.data import procedural
from training.data.corpus import Clip, Corpus, Writer, packed, write_clip
from training.metrics import clip_scores, corpus_scores, pitched

RATE = procedural.SAMPLE_RATE


def rising(column: int, low: float, high: float, hops: int = 200) -> Float32:
    track = np.tile(np.float32([69, 0.8, 0.5]), (hops, 1))
    track[:, column] = np.linspace(low, high, hops)
    return track


def test_brightness_is_heard_whatever_the_pitch_does() -> None:
    track = rising(2, 0.1, 0.9)
    track[:, 0] = np.linspace(80, 58, len(track))
    assert pitched.brightness_correlation(procedural.tone(track, 0.0), RATE, 0, track) > 0.95


def test_a_sound_that_ignores_brightness_does_not_correlate_with_it() -> None:
    asked = rising(2, 0.1, 0.9)
    asked[:, 2] = np.random.default_rng(0).permutation(asked[:, 2])
    assert abs(pitched.brightness_correlation(procedural.tone(rising(2, 0.5, 0.5), 0.0), RATE, 0, asked)) < 0.3


def test_spectral_distance_is_the_level_lost() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert pitched.spectral_distance_db(noise, noise, RATE) == 0.0
    assert pitched.spectral_distance_db(noise, 0.5 * noise, RATE) == pytest.approx(6.02, abs=0.05)


class Demo(clip_scores.Watched):
    """The demo dancer instead of a film."""

    def __init__(self, model: Path, seconds: float) -> None:
        times = np.arange(0, seconds, 1 / 30)
        poses = [(pose_at(float(t), i), float(t) + 1 / 30) for i, t in enumerate(times)]
        super().__init__(RenderConfig(clip=Path(), output=Path(), model=model), poses)


def test_the_demo_dancer_is_scored_against_its_own_shifted_self(small_bundle: Bundle) -> None:
    """It dances at 96 beats a minute and stops on them."""
    watched = Demo(small_bundle.path, 10.0)
    beats = watched.beats()
    assert np.median(np.diff(beats)) == pytest.approx(60 / 96, abs=0.05)
    shifted = watched.shifted()
    assert [pose.capture_s for pose, _ in shifted.poses] == [pose.capture_s for pose, _ in watched.poses]
    np.testing.assert_array_equal(shifted.poses[0][0].world, watched.poses[150][0].world)
    found = clip_scores.scores(small_bundle, make_engine("native", small_bundle), watched)
    assert found["kinematic_beats"] == len(beats)
    assert set(found) == {
        *("seconds", "kinematic_beats", "musical_beats", "alignment", "coverage", "hit", "shuffled", "ignores_dancer")
    }


def test_the_control_ends_where_the_shorter_dance_ends(small_bundle: Bundle) -> None:
    engine = make_engine("native", small_bundle)
    found = clip_scores.scores(small_bundle, engine, Demo(small_bundle.path, 6.0), Demo(small_bundle.path, 4.0))
    assert found["seconds"] == pytest.approx(4.0, abs=0.05)
    assert found["alignment"] == found["shuffled"]["alignment"]  # the same dance: a stranger who is none
    assert found["ignores_dancer"]


def test_the_report_holds_every_figure_and_its_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.html"
    options = [
        "--model",
        str(THEREMIN),
        "--tracks",
        "2",
        "--seconds",
        "1",
        "--seeds",
        "0",
        "--json",
        "--report",
        str(path),
    ]
    assert evaluate.main(options) == 0
    figures = json.loads(capsys.readouterr().out)
    text = path.read_text(encoding="utf-8")
    for name, value in figures.items():
        if isinstance(value, float):
            assert f"<td>{name}</td><td>{value:.3g}</td>" in text
    assert text.count("data:image/png;base64,") == 4
    assert figures["nll_bits"] < figures["nll_bits_baseline"] - 1


def test_a_report_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", str(THEREMIN), "--tracks", "1", "--seconds", "1", "--seeds", "0", "--json"]
    assert evaluate.main([*options, "--report", str(tmp_path / "no" / "report.html")]) == 2
    assert capsys.readouterr().err.strip().count("\n") == 0


@pytest.mark.real
def test_a_real_dancer_is_scored(dancer_clip: Path, pose_model: Path, tmp_path: Path) -> None:
    from tests.support.videos import cut

    short = tmp_path / "short.mp4"
    cut(dancer_clip, short, 150)
    bundle = load_bundle(THEREMIN)
    watched = clip_scores.watch(short, THEREMIN, "full", pose_model)
    assert watched.seconds == pytest.approx(6.0, abs=0.1)
    found = clip_scores.scores(bundle, make_engine("native", bundle), watched)
    assert 2 <= found["kinematic_beats"] <= 18
    assert 0.0 <= found["alignment"] <= 1.0


# --- a corpus -----------------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Two held-out clips of three seconds of theremin, one played by the demo dancer's poses."""
    spec = procedural.theremin_spec()
    writer = Writer(tmp_path / "corpus", RATE, "full", {"controls": spec.channels})
    hops = round(3 * RATE / HOP)
    for number, split in enumerate(("train", "valid", "valid")):
        track = procedural.controls(np.random.default_rng(number), hops)
        audio = procedural.tone(track, 0.0)
        poses = [pose_at(i / 30, i) for i in range(90)] if number == 2 else []
        arrays = {"controls": track, **(packed(poses) if poses else {})}
        clip = Clip(
            split, "none", f"clip{number}", "made", tracks=("controls",), hops=hops, seconds=3.0, frames=len(poses)
        )
        write_clip(writer.root, clip, audio, RATE, arrays)
        writer.record(clip)
    writer.close()
    return Corpus(writer.root)


def test_a_model_expects_its_own_kind_of_sound_and_by_its_own_channels(corpus: Corpus) -> None:
    bundle = load_bundle(THEREMIN)
    found = corpus_scores.scores(bundle, make_engine("native", bundle), corpus, 0.5)
    assert found["split"] == "valid"
    assert found["windows"] == 4
    assert found["nll_bits"] < found["nll_bits_shuffled"] - 0.5
    assert found["ignores_channels"] is False
    assert found["spectral_distance_db"] < 0.8 * found["spectral_distance_db_shuffled"]
    assert {"alignment", "alignment_shuffled", "dance_hit", "music_coverage"} <= set(found["dance"])
    assert found["dance"]["music_coverage"] > 0


def test_a_model_that_does_not_listen_is_told_so(corpus: Corpus, small_bundle: Bundle) -> None:
    deaf = {name: np.zeros_like(w) if name == "conditioner.weight" else w for name, w in small_bundle.weights.items()}
    spec = dataclasses.replace(small_bundle.spec, phase=None)
    deaf.pop("input.phase", None)
    bundle = dataclasses.replace(small_bundle, spec=spec, weights=deaf)
    found = corpus_scores.scores(bundle, ReferenceEngine(spec, deaf), corpus, 1.0)
    assert found["nll_bits"] == pytest.approx(found["nll_bits_shuffled"], abs=1e-6)
    assert found["ignores_channels"] is True


def test_a_corpus_of_another_rate_is_named(corpus: Corpus, small_bundle: Bundle) -> None:
    bundle = dataclasses.replace(small_bundle, spec=dataclasses.replace(small_bundle.spec, sample_rate=16000))
    with pytest.raises(LivemoveError, match="--sample-rate 16000"):
        corpus_scores.scores(bundle, ReferenceEngine(bundle.spec, bundle.weights), corpus, 1.0)


# --- a pitched model --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return note_corpus.write(tmp_path_factory.mktemp("notes") / "corpus", count=12, seconds=1.0).root


@pytest.fixture(scope="module")
def horn(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A pitched model of two styles with the descriptors' channels, and random weights."""
    channels = note_corpus.channels()
    spec = dataclasses.replace(small_spec("horn"), channels=channels, styles=("horn", "reed"))
    return random_bundle(tmp_path_factory.mktemp("models") / "horn", spec)


def test_a_pitched_model_is_measured_beside_recordings_and_baseline_and_can_be_heard(
    notes: Path, horn: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", str(horn.path), "--quick", "--data", str(notes), "--json"]
    assert evaluate.main([*options, "--listen", str(tmp_path / "page"), "--card", str(tmp_path / "card")]) == 0
    figures = json.loads(capsys.readouterr().out)
    for style in ("horn", "reed"):
        players = figures["pitched"]["styles"][style]
        assert set(players) == {"model", "baseline"}
        assert players["model"].keys() == players["baseline"].keys()
        assert players["baseline"]["hnr_db"][0] > players["model"]["hnr_db"][0] + 10  # the model is noise
        assert players["baseline"]["loudness_correlation"][0] > 0.95
    assert figures["notes"]["recordings"]["hnr_db"] == pytest.approx(30, abs=1.5)
    assert figures["notes"]["baseline_minus_model_db"][2] < 0
    assert {"told_apart", "blend"} == set(figures["styles"])
    text = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    sounds = list((tmp_path / "page").glob("*.wav"))
    assert text.count("<audio") == len(sounds)
    assert text.count("data:audio/flac;base64,") == len(sounds)
    assert {path.stem.rsplit("-", 1)[1] for path in sounds} == {"recording", "model", "baseline"}
    assert "held-out notes: log_mel_db" in (tmp_path / "card" / "figures.md").read_text(encoding="utf-8")
    assert (tmp_path / "card" / "spectrogram.png").read_bytes().startswith(b"\x89PNG")


def test_the_theremin_has_no_lines_that_its_source_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    """... but it has: at -40 dB, which is why the figure exists."""
    assert evaluate.main(["--model", str(THEREMIN), "--quick", "--json"]) == 0
    played = json.loads(capsys.readouterr().out)["pitched"]["styles"][""]
    assert played["ceiling"]["alias_db_worst"][0] < -80
    assert played["model"]["pitch_gross_share"][0] == 0
    assert played["model"]["loudness_correlation"][0] > 0.95


def test_models_are_told_apart_by_their_channels(horn: Bundle) -> None:
    assert evaluate.kind_of(horn.spec) == "pitched"
    body = tuple(Channel(name, "", 0.0, 1.0, 0.0) for name in FEATURES[:3])
    assert evaluate.kind_of(dataclasses.replace(horn.spec, channels=body)) == "pose"
    struck = tuple(Channel(name, "", 0.0, 1.0, 0.0) for name in ("left_hand", "clap"))
    assert evaluate.kind_of(dataclasses.replace(horn.spec, channels=struck)) == "hits"


def test_a_model_that_cannot_be_measured_alone_says_what_is_missing(
    horn: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--model", str(horn.path), "--seeds", "0", "--listen", str(tmp_path / "page")]) == 2
    assert "at least one seed" in capsys.readouterr().err
