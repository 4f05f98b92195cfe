"""The training side: the procedural sound, the measures, and checkpoint -> resume -> bundle end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from livemove.bundle import load_bundle
from livemove.contracts import HOP
from livemove.synthesis import conditioning, pqmf
from training import evaluate, export, train
from training.data import procedural
from training.metrics import pitched

RATE = procedural.SAMPLE_RATE


def held(note: float, loudness: float, brightness: float, hops: int = 120) -> np.ndarray:
    return np.tile(np.float32([note, loudness, brightness]), (hops, 1))


def test_loudness_zero_is_exact_silence() -> None:
    assert not procedural.tone(held(69, 0, 0.5), 0.0).any()


def test_level_is_the_square_of_loudness() -> None:
    rms = [np.sqrt((procedural.tone(held(69, x, 0.5), 0.0) ** 2).mean()) for x in (1.0, 0.5)]
    assert rms[0] == pytest.approx(procedural.LEVEL, rel=0.02)
    assert rms[1] == pytest.approx(procedural.LEVEL / 4, rel=0.02)


def test_brightness_raises_the_spectral_centroid() -> None:
    def centroid(brightness: float) -> float:
        power = np.abs(np.fft.rfft(procedural.tone(held(60, 0.8, brightness), 0.0))) ** 2
        return float((power * np.arange(len(power))).sum() / power.sum())

    assert centroid(1.0) > 2 * centroid(0.0)


def test_control_tracks_stay_in_range_and_differ_by_seed() -> None:
    spec = procedural.theremin_spec()
    tracks = [procedural.controls(np.random.default_rng((1, i)), 200) for i in range(40)]
    for track in tracks:
        for column, channel in enumerate(spec.channels):
            assert track[:, column].min() >= channel.minimum
            assert track[:, column].max() <= channel.maximum
    assert not np.array_equal(tracks[0], tracks[1])
    rests = np.mean([(t[:, 1] == 0).mean() for t in tracks])
    assert 0.03 < rests < 0.5


def test_bands_of_a_held_note_are_linear_in_its_phase_features() -> None:
    """What makes the phase worth giving: the harmonics of a steady tone need no memory at all."""
    spec = procedural.theremin_spec()
    track = held(64.3, 0.8, 0.7)
    bands = pqmf.analysis(procedural.tone(track, 0.0), spec.bands, spec.pqmf_taps)[40:-40]
    hz = np.repeat(conditioning.pitch_hz(spec, track), spec.steps_per_hop)
    phases = conditioning.phase_features(spec, hz, np.cumsum(hz) / spec.step_rate)[40:-40]
    fit, *_ = np.linalg.lstsq(phases, bands, rcond=None)
    residual = bands - phases @ fit
    assert 10 * np.log10((residual**2).mean() / (bands**2).mean()) < -50


def test_pitch_error_reads_a_detuned_tone() -> None:
    asked = held(66, 0.8, 0.5, 200)
    sounding = asked + np.float32([0.3, 0, 0])
    errors = pitched.cents(procedural.tone(sounding, 0.0), RATE, 0, asked)
    assert np.median(errors) == pytest.approx(30, abs=3)


def test_harmonic_to_noise_reads_added_noise() -> None:
    track = held(66, 0.8, 0.5, 200)
    tone = procedural.tone(track, 0.0)
    noise = np.random.default_rng(0).standard_normal(len(tone)).astype(np.float32)
    noisy = tone + noise * tone.std() * 10 ** (-20 / 20)
    assert np.median(pitched.harmonic_to_noise_db(noisy, RATE, 0, track)) == pytest.approx(20, abs=1)
    assert np.median(pitched.harmonic_to_noise_db(tone, RATE, 0, track)) > 60


def test_harmonic_to_noise_follows_a_glide() -> None:
    track = held(60, 0.8, 0.5, 300)
    track[:, 0] += np.linspace(0, 12, 300)
    assert np.median(pitched.harmonic_to_noise_db(procedural.tone(track, 0.0), RATE, 0, track)) > 30


def test_rise_time_reads_a_known_onset() -> None:
    sound = np.zeros(RATE, np.float32)
    sound[10000 + 960 :] = np.sin(np.arange(RATE - 10960) * 0.1)
    assert pitched.rise_ms(sound, RATE, 10000, 20000) == pytest.approx(20, abs=3)


TINY = ["--batch_size", "1", "--seconds", "0.1", "--threads", "1", "--num_workers", "0", "--log_samples_every", "0"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train.main(["--out", str(out), "--steps", "4", "--checkpoint_every", "2", *TINY])
    return out / "last.ckpt"


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(trained: Path, tmp_path: Path) -> None:
    def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
        return torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]

    halfway = next(trained.parent.glob("step=2*.ckpt"))
    (tmp_path / "last.ckpt").write_bytes(halfway.read_bytes())
    train.main(["--out", str(tmp_path), "--steps", "4", "--checkpoint_every", "2", "--resume", *TINY])
    whole, resumed = weights(trained), weights(tmp_path / "last.ckpt")
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)


def test_a_checkpoint_becomes_a_bundle_that_can_be_measured(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        export.main([str(trained), "--name", "mine", "--out", str(tmp_path / "new"), "--tracks", "1", "--seeds", "0"])
        == 0
    )
    bundle = load_bundle(tmp_path / "new")
    assert bundle.spec.name == "mine"
    assert len(bundle.golden.audio) == export.GOLDEN_HOPS * HOP
    card = bundle.description_path.read_text(encoding="utf-8")
    assert card.startswith("# mine\n\nThe classic theremin")
    assert f"R{bundle.spec.residual} S{bundle.spec.skip}, {bundle.spec.layers} layers" in card
    assert "pitch_cents_median" in card
    capsys.readouterr()
    assert (
        evaluate.main(["--model", str(tmp_path / "new"), "--json", "--tracks", "1", "--seconds", "1", "--seeds", "0"])
        == 0
    )
    figures = json.loads(capsys.readouterr().out)
    wanted = {"pitch_cents_median", "pitch_cents_p90", "hnr_db", "loudness_correlation", "response_ms", "rest_dbfs"}
    assert wanted <= figures.keys()


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main([str(tmp_path / "no.ckpt")]) == 2
    assert evaluate.main(["--model", str(tmp_path / "nothing")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert "no.ckpt" in lines[0]
