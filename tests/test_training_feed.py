"""What a network is fed: clips by number, stage-worn poses, flags and YAML; and the classic network on a sine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from dances import RATE, write_dances

from livemove.contracts import HOP, ModelSpec
from livemove.features import FEATURES, REST, TABLE
from livemove.synthesis import settings
from training import augment, examples, feed, recipe
from training.augment import Shake
from training.corpus import Corpus
from training.wavenet import WaveNet, nats

HOP_S = HOP / RATE


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> feed.Recorded:
    return feed.Recorded(Corpus(write_dances(tmp_path_factory.mktemp("corpus") / "dances")), FEATURES)


def spec_of(source: feed.Source, *flags: str) -> ModelSpec:
    args = recipe.read_arguments(["--instrument", "theremin", *flags], "")
    return recipe.model_spec(args, source.sample_rate, source.channels, source.styles)


# --- clips --------------------------------------------------------------------------------------------------


def test_a_clip_is_the_same_whoever_asks(source: feed.Recorded) -> None:
    spec = spec_of(source)
    one, other = (feed.Clips(source, spec, 8, 5)[17] for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    assert not np.array_equal(feed.Clips(source, spec, 8, 5)[18]["bands"], one["bands"])


def test_a_clips_bands_are_those_of_its_sound_not_cut_at_its_ends(source: feed.Recorded) -> None:
    spec, hops = spec_of(source), 8
    window = source.windows(hops, 1)[3]
    inner = window.audio[feed.MARGIN * HOP : -feed.MARGIN * HOP]
    heard = examples.sound_of(spec, source.clip(spec, hops, 1, 3, False)["bands"])
    lag = spec.pqmf_taps // 2 - spec.bands
    a, b = inner[spec.pqmf_taps : -spec.pqmf_taps], heard[spec.pqmf_taps + lag :][: len(inner) - 2 * spec.pqmf_taps]
    assert np.sqrt(((a - b) ** 2).mean()) < 0.01 * np.sqrt((a**2).mean())


def test_held_out_clips_are_of_the_valid_split_and_do_not_depend_on_the_seed(source: feed.Recorded) -> None:
    spec = spec_of(source)
    clips = [feed.Clips(source, spec, 8, seed, held_out=True)[3] for seed in (1, 2)]
    np.testing.assert_array_equal(clips[0]["bands"], clips[1]["bands"])
    windows, _ = source.held_out(8)
    assert {clip.split for clip in windows.clips} == {"valid"}


def test_the_unconditional_control_sees_nothing_but_rest(source: feed.Recorded) -> None:
    spec = spec_of(source)
    clip = feed.Clips(source, spec, 8, 1, of_rest=True)[0]
    np.testing.assert_allclose(examples.natural(spec, clip["channels"]), np.tile(REST, (8, 1)), atol=1e-5)


def test_overfitting_repeats_the_first_clips(source: feed.Recorded) -> None:
    clips = feed.Clips(source, spec_of(source), 8, 1, repeat=2)
    np.testing.assert_array_equal(clips[0]["bands"], clips[4]["bands"])
    assert clips[4]["index"] == 4


def test_processes_share_every_batch_and_a_resumed_run_takes_up_the_next(source: feed.Recorded) -> None:
    whole = list(feed.Batches(4, 6, 0, 1, 0))
    shares = [list(feed.Batches(4, 6, rank, 3, 2)) for rank in range(3)]
    assert [[*a, *b, *c] for a, b, c in zip(*shares, strict=True)] == whole[2:]


# --- the stage ----------------------------------------------------------------------------------------------


def moving(hops: int = 400) -> np.ndarray:
    rng = np.random.default_rng(3)
    low, high = (np.array([getattr(f, end) for f in TABLE]) for end in ("minimum", "maximum"))
    waves = 0.5 + 0.4 * np.sin(np.arange(hops)[:, None] * HOP_S * rng.uniform(2, 9, len(TABLE)))
    features = low + (high - low) * waves
    features[:, FEATURES.index("presence")] = 1
    return features.astype(np.float32)


def test_a_mirror_exchanges_left_and_right_and_undoes_itself() -> None:
    features = moving()
    mirrored = augment.mirrored(features)
    at = FEATURES.index
    np.testing.assert_array_equal(mirrored[:, at("left_hand_height")], features[:, at("right_hand_height")])
    np.testing.assert_array_equal(mirrored[:, at("turn")], -features[:, at("turn")])
    np.testing.assert_array_equal(mirrored[:, at("crouch")], features[:, at("crouch")])
    np.testing.assert_array_equal(augment.mirrored(mirrored), features)


def test_noise_is_as_loud_as_asked_and_leaves_presence_alone() -> None:
    features = moving(4000)
    noisy = augment.jittered(np.random.default_rng(0), features, HOP_S, 0.02)
    i = FEATURES.index("right_hand_height")
    assert (noisy - features)[:, i].std() == pytest.approx(
        0.02 * 2, rel=0.35
    )  # its range is 2; knots are joined by lines
    np.testing.assert_array_equal(noisy[:, 0], features[:, 0])


def test_lost_frames_hold_the_pose_before_and_lag_never_turns_time_back() -> None:
    hops = 400
    time = np.repeat(np.arange(hops, dtype=np.float32)[:, None] * HOP_S, len(FEATURES), 1)
    lost = augment.late(np.random.default_rng(0), time, HOP_S, 0.0, 0.5)[:, 0]
    lag = augment.late(np.random.default_rng(0), time, HOP_S, 0.08, 0.0)[:, 0]
    both = augment.late(np.random.default_rng(0), time, HOP_S, 0.08, 0.5)[:, 0]
    for seen in (lost, lag):
        assert (np.diff(seen) >= 0).all()
    for seen in (lost, lag, both):
        assert (seen <= time[:, 0]).all()
    assert len(np.unique(lost)) < 0.7 * hops
    assert 0 < (time[:, 0] - lag).max() <= 0.08 + HOP_S


def test_a_hidden_limb_comes_to_rest_and_the_others_do_not() -> None:
    """Over many clips every group is hidden in some, and what is hidden long enough reads as rest."""
    away = [0.4 * (f.maximum - f.minimum) * (1 if 2 * f.rest <= f.minimum + f.maximum else -1) for f in TABLE]
    features = np.tile(REST + np.float32(away), (400, 1))
    changed: set[frozenset[str]] = set()
    for seed in range(60):
        out = augment.hidden(np.random.default_rng(seed), features, HOP_S)
        moved = np.abs(out - features).max(0) > 0
        changed.add(frozenset(np.array(FEATURES)[moved]))
        between = (out - features) * (REST - features)
        assert (between >= -1e-6).all()  # towards rest, nowhere else
    every = {frozenset(names) for names in augment.GROUPS.values()}
    assert changed - {frozenset()} == every


def test_channels_that_are_no_features_stay_as_they_are() -> None:
    names = ("pitch", "right_hand_height")
    channels = np.stack([np.linspace(40, 80, 200), np.sin(np.arange(200) / 9)], -1).astype(np.float32)
    shake = Shake(noise=0.05, dropped=0.3, latency_s=0.05, mirror=1, missing=1)
    out = augment.shaken(np.random.default_rng(1), channels, names, HOP_S, shake)
    np.testing.assert_array_equal(out[:, 0], channels[:, 0])
    assert not np.allclose(out[:, 1], channels[:, 1])
    assert augment.shaken(np.random.default_rng(1), channels, names, HOP_S, Shake()) is channels


# --- flags --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("experiment", sorted(p.stem for p in recipe.EXPERIMENTS.glob("*.yaml")))
def test_every_experiment_can_be_read_and_names_a_model(experiment: str) -> None:
    args = recipe.read_arguments(["--config", experiment, "--seed", "3"], "")
    assert (args.name, args.seed) == (experiment, 3)
    assert args.out == Path("runs") / experiment
    spec = recipe.model_spec(args, 48000, settings.stage().channels, ())
    assert spec.head == {"classic": "mulaw", "stage": "logistic"}[args.setting]


def test_flags_count_more_than_the_experiment_and_the_last_of_two_ways_counts(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("instrument: theremin\nsteps: 10\nuse_video: false\nmilestones: [3, 4]\n")
    args = recipe.read_arguments(["--config", str(path), "--dataset", "d", "--n_epochs", "2", "--use_video"], "")
    assert (args.instrument, args.dataset, args.steps, args.n_epochs) == (None, Path("d"), None, 2)
    assert args.use_video
    assert args.milestones == [3, 4]


@pytest.mark.parametrize(
    ("text", "named"),
    [("batch_sise: 3", "batch_size?"), ("- 3", "flag: value"), ("a: [", "YAML"), ("mirror: 2", "--mirror"),
     ("use_video: maybe", "use_video")],
)  # fmt: skip
def test_a_bad_experiment_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, named: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(SystemExit) as end:
        recipe.read_arguments(["--config", str(path)], "")
    assert end.value.code == 2
    line = capsys.readouterr().err.strip()
    assert named in line
    assert "\n" not in line


def test_sizes_of_the_origin_describe_the_network() -> None:
    sine = feed.Sine()
    spec = spec_of(sine, "--setting", "classic", "--layer_size", "14", "--stack_size", "2", "--classes", "128",
                   "--residual_channels", "32", "--skip_channels", "64")  # fmt: skip
    assert spec.dilations == tuple(2**i for i in range(14)) * 2
    assert (spec.classes, spec.residual, spec.skip, spec.hidden, spec.sample_rate) == (128, 32, 64, 64, 16000)


# --- the classic network ------------------------------------------------------------------------------------


def test_the_classic_network_learns_a_sine_and_sings_it() -> None:
    """The origin's own test, small: parallel teacher forcing overfits, and free sampling has the right frequency."""
    torch.manual_seed(0)
    sine = feed.Sine()
    spec = dataclasses.replace(spec_of(sine, "--setting", "classic", "--classes", "32", "--residual_channels", "16",
                                       "--skip_channels", "16"), dilations=(1, 2, 4, 8, 16, 32))  # fmt: skip
    clip = sine.clip(spec, 4, 1, 0, False)
    batch = {name: torch.from_numpy(np.asarray(value))[None] for name, value in clip.items()}
    network = WaveNet(spec)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(120):
        loss = nats(
            spec, network(batch["bands"], batch["channels"], batch["phases"], batch["style"]), batch["bands"]
        ).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.6  # log 32 = 3.5 at first
    engine = examples.quickest_engine(spec, network.weights())
    channels = examples.natural(spec, clip["channels"])
    sung = examples.generate(engine, np.tile(channels, (4, 1)), 0, 0.3, 0)[HOP:]
    power = np.abs(np.fft.rfft(sung * np.hanning(len(sung)))) ** 2
    assert power.argmax() * spec.sample_rate / len(sung) == pytest.approx(sine.HZ, abs=8)
    assert np.ptp(sung) > 0.5
