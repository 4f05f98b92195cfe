"""What a network is fed: clips by number, stage-worn poses, flags and YAML; and the classic network on a sine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from livemove.body.features import FEATURES, REST, FeatureSpec, FeatureStream
from livemove.capture import demo
from livemove.contracts import HOP, ModelSpec
from livemove.synthesis import architectures
from tests.support.dances import RATE, write_dances
from training.data import augment, feed
from training.data import clip as clip_module
from training.data.augment import Shake
from training.data.clip import features_at_hops
from training.data.corpus import Clip, Corpus, packed
from training.data.variants import Variants
from training.loop import examples, recipe
from training.model.wavenet import WaveNet, nats

HOP_S = HOP / RATE


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> feed.Recorded:
    return feed.Recorded(Corpus(write_dances(tmp_path_factory.mktemp("corpus") / "dances")), FEATURES)


def spec_of(source: feed.SoundDataset, *flags: str) -> ModelSpec:
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


def variants(source: feed.Recorded, folder: Path, shake: Shake, count: int = 2, seed: int = 1) -> Variants:
    return Variants(source.corpus, shake, count, seed, folder)


def danced(source: feed.Recorded) -> tuple[Clip, np.ndarray]:
    """A clip and its features as they were prepared."""
    clip = source.corpus.clips[1]
    return clip, source.corpus.read(clip, FEATURES).channels


def observation(seconds: float = 20.0) -> augment.Observation:
    """The demo's dancer before a camera of 25 frames a second."""
    poses = [demo.pose_at(i / 25, i) for i in range(round(25 * seconds))]
    columns = packed(poses)
    return augment.Observation(arrival_s=columns["frame_s"], **columns)


def test_landmarks_left_alone_give_the_very_features_that_were_prepared(source: feed.Recorded, tmp_path: Path) -> None:
    clip, features = danced(source)
    np.testing.assert_array_equal(variants(source, tmp_path, Shake()).features(clip, 0), features)


def test_a_mirror_exchanges_left_and_right(source: feed.Recorded, tmp_path: Path) -> None:
    clip, features = danced(source)
    mirrored = variants(source, tmp_path, Shake(mirror=1)).features(clip, 0)
    for i, name in enumerate(FEATURES):
        side, _, part = name.partition("_")
        other = FEATURES.index({"left": "right_", "right": "left_"}[side] + part) if side in ("left", "right") else i
        sign = -1 if name in ("lean_side", "turn", "twist", "head_tilt", "travel") else 1
        np.testing.assert_allclose(mirrored[:, i], sign * features[:, other], atol=1e-5, err_msg=name)


def test_a_mirrors_mirror_shows_what_was_there() -> None:
    seen = observation(1)
    twice = augment.mirrored(augment.mirrored(seen))
    np.testing.assert_allclose(twice.image, seen.image, atol=1e-6)
    np.testing.assert_array_equal(twice.world, seen.world)
    assert not np.allclose(augment.mirrored(seen).world, seen.world)


def test_noise_is_as_loud_as_asked_and_the_same_in_picture_and_space() -> None:
    seen = observation()
    noisy = augment.jittered(np.random.default_rng(0), seen, 0.02)
    trunk = np.linalg.norm(seen.world[:, 11:13].mean(1) - seen.world[:, 23:25].mean(1), axis=-1).mean()
    assert (noisy.world - seen.world).std() == pytest.approx(0.02 * trunk, rel=0.05)
    in_space, in_image = (noisy.world - seen.world)[..., :2], (noisy.image - seen.image)[..., :2]
    for axis in (0, 1):
        assert np.corrcoef(in_space[..., axis].ravel(), in_image[..., axis].ravel())[0, 1] > 0.999


def test_as_many_frames_are_lost_as_asked_and_the_first_is_not() -> None:
    seen = observation()
    lost = augment.dropped(np.random.default_rng(0), seen, 0.3)
    assert len(lost.frame_s) == pytest.approx(0.7 * len(seen.frame_s), rel=0.1)
    assert lost.frame_s[0] == seen.frame_s[0]
    assert len(lost.image) == len(lost.arrival_s) == len(lost.frame_s)


def test_poses_come_late_unevenly_and_never_out_of_order() -> None:
    seen = observation()
    late = augment.late(np.random.default_rng(0), seen, 0.06)
    lag = late.arrival_s - seen.frame_s
    assert (np.diff(late.arrival_s) >= 0).all()
    assert lag.min() >= -1e-9
    assert lag.max() <= 0.06 + 1e-9
    assert lag.std() > 0.003
    np.testing.assert_array_equal(late.frame_s, seen.frame_s)


def test_a_pose_that_comes_late_plays_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_module, "FeatureStream", lambda: FeatureStream(FeatureSpec(look_ahead_s=0.0)))
    seen = observation(2)
    poses = [demo.pose_at(t, i) for i, t in enumerate(seen.frame_s)]
    at_once, later = (features_at_hops(poses, 100, RATE, seen.frame_s + lag) for lag in (0.0, 3 * HOP_S))
    np.testing.assert_array_equal(later[:3], np.tile(REST, (3, 1)))
    i = FEATURES.index("right_hand_height")
    np.testing.assert_allclose(later[30:, i], at_once[27:-3, i], atol=1e-6)


def test_prediction_makes_up_for_a_pose_that_comes_late() -> None:
    seen = observation(2)
    poses = [demo.pose_at(t, i) for i, t in enumerate(seen.frame_s)]
    at_once, later = (features_at_hops(poses, 300, RATE, seen.frame_s + lag) for lag in (0.0, 3 * HOP_S))
    i = FEATURES.index("right_hand_height")
    delayed = np.abs(at_once[30:, i] - at_once[27:-3, i]).mean()
    assert np.abs(later[30:, i] - at_once[30:, i]).mean() < 0.7 * delayed


def test_limbs_are_out_of_view_for_as_long_as_asked() -> None:
    time_s = np.arange(25 * 600) / 25
    nowhere = np.zeros((len(time_s), 33, 3), np.float32)
    seen = augment.Observation(time_s, time_s, np.ones(len(time_s), np.int8), nowhere, nowhere, nowhere[..., 0] + 1)
    away = augment.hidden(np.random.default_rng(0), seen, 0.3)
    gone = (away.visibility == 0).any(-1)
    assert gone.mean() == pytest.approx(0.3, abs=0.06)
    hidden = {frozenset(np.flatnonzero(row == 0)) for row in away.visibility[gone]}
    assert hidden == {frozenset(marks) for marks in augment.HIDDEN_TOGETHER.values()}
    np.testing.assert_array_equal(away.people == 0, (away.visibility == 0).all(-1))


def test_a_hidden_limb_is_held_and_eased_to_rest_as_on_stage(source: feed.Recorded, tmp_path: Path) -> None:
    """Out of view for good, the person leaves nothing but rest."""
    clip, _ = danced(source)
    gone = variants(source, tmp_path, Shake(missing=1)).features(clip, 0)
    np.testing.assert_array_equal(gone, np.tile(REST, (clip.hops, 1)))


def test_versions_differ_and_are_the_same_whoever_makes_them(source: feed.Recorded, tmp_path: Path) -> None:
    clip, _ = danced(source)
    shake = Shake(noise=0.02, dropped=0.2, latency_s=0.05)
    one, other = (variants(source, tmp_path / name, shake) for name in "ab")
    np.testing.assert_array_equal(one.features(clip, 0), other.features(clip, 0))
    assert not np.allclose(one.features(clip, 0), one.features(clip, 1))
    assert not np.allclose(one.features(clip, 0), variants(source, tmp_path, shake, seed=2).features(clip, 0))


def test_a_version_is_made_once(source: feed.Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, _ = danced(source)
    mine = variants(source, tmp_path, Shake(noise=0.02))
    first = np.array(mine.features(clip, 0))
    monkeypatch.setattr(mine, "made", None)
    np.testing.assert_array_equal(mine.features(clip, 0), first)


def test_training_clips_come_disturbed_and_held_out_ones_as_they_were_filmed(
    source: feed.Recorded, tmp_path: Path
) -> None:
    names = ("pitch", "right_hand_height")
    plain = feed.Recorded(source.corpus, names)
    worn = feed.Recorded(source.corpus, names, variants(source, tmp_path, Shake(noise=0.05)))
    spec = spec_of(plain)
    before, after = (of.clip(spec, 40, 1, 2, False) for of in (plain, worn))
    np.testing.assert_array_equal(before["bands"], after["bands"])
    np.testing.assert_array_equal(before["channels"][:, 0], after["channels"][:, 0])  # the sound's own: not the body's
    assert not np.allclose(before["channels"][:, 1], after["channels"][:, 1])
    np.testing.assert_array_equal(*(of.clip(spec, 40, 1, 0, True)["channels"] for of in (plain, worn)))


# --- flags --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("experiment", sorted(p.stem for p in recipe.EXPERIMENTS.glob("*.yaml")))
def test_every_experiment_can_be_read_and_names_a_model(experiment: str) -> None:
    args = recipe.read_arguments(["--config", experiment, "--seed", "3"], "")
    assert (args.name, args.seed) == (experiment, 3)
    assert args.out == Path("runs") / experiment
    spec = recipe.model_spec(args, 48000, architectures.stage().channels, ())
    assert spec.head == {"classic": "mulaw", "stage": "logistic"}[args.architecture]


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
    spec = spec_of(sine, "--architecture", "classic", "--layer_size", "14", "--stack_size", "2", "--classes", "128",
                   "--residual_channels", "32", "--skip_channels", "64")  # fmt: skip
    assert spec.dilations == tuple(2**i for i in range(14)) * 2
    assert (spec.classes, spec.residual, spec.skip, spec.hidden, spec.sample_rate) == (128, 32, 64, 64, 16000)


# --- the classic network ------------------------------------------------------------------------------------


def test_the_classic_network_learns_a_sine_and_sings_it() -> None:
    """The origin's own test, small: parallel teacher forcing overfits, and free sampling has the right frequency."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # two wait for each other on a busy machine: 50 s instead of 10
    sine = feed.Sine()
    spec = dataclasses.replace(spec_of(sine, "--setting", "classic", "--classes", "32", "--residual_channels", "16",
                                       "--skip_channels", "16"), dilations=(1, 2, 4, 8, 16, 32))  # fmt: skip
    clip = sine.clip(spec, 4, 1, 0, False)
    batch = {name: torch.from_numpy(np.asarray(value))[None] for name, value in clip.items()}
    network = WaveNet(spec)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(120):
        loss = nats(
            spec,
            network(batch["bands"], batch["channels"], batch["hz"], batch["cycles"], batch["style"])[0],
            batch["bands"],
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
