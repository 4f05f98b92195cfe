"""A training run as a whole: any data, any model, killed and resumed, in two processes, out into a playable bundle."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from livemove.body.features import FEATURES
from livemove.body.mapping import mapping_for
from livemove.bundle import load_bundle
from livemove.synthesis.engines import make_engine
from tests.support.dances import write_dances
from tests.support.paths import ROOT
from training import export, train
from training.loop import recipe

TINY = ["--batch_size", "2", "--seconds", "0.3", "--threads", "1", "--residual_channels", "16", "--skip_channels", "16",
        "--layer_size", "4", "--log_every", "1", "--num_workers", "0", "--log_samples_every", "0"]  # fmt: skip


@pytest.fixture(autouse=True)
def quick_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """The golden vector of the first seed will do."""
    monkeypatch.setattr(export, "GOLDEN_TRIES", 1)


@pytest.fixture(scope="module")
def dances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dances(tmp_path_factory.mktemp("corpus") / "dances")


def flags(dataset: Path, out: Path, *more: str) -> list[str]:
    return ["--dataset", str(dataset), "--out", str(out), *TINY, *more]


def curve(out: Path, tag: str = "loss") -> dict[int, float]:
    """Step -> value, of all the log's files together."""
    points: dict[int, float] = {}
    for file in sorted((out / "log").glob("events*"), key=lambda p: p.stat().st_mtime):
        events = EventAccumulator(str(file)).Reload()
        if tag in events.Tags()["scalars"]:
            points.update({e.step: e.value for e in events.Scalars(tag)})
    return points


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]


def command(*argv: str) -> list[str]:
    return [sys.executable, str(ROOT / "training" / "train.py"), *argv]


@pytest.fixture(scope="module")
def dance_run(dances: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """End to end, with everything a stage does to the input, and everything the log can hold."""
    out = tmp_path_factory.mktemp("run") / "dance"
    shaken = ["--landmark_noise", "0.02", "--dropped_frames", "0.1", "--latency_jitter", "60", "--mirror", "0.5",
              "--missing_limbs", "0.5"]  # fmt: skip
    samples = ["--log_samples_every", "2", "--log_samples", "1", "--generate_n_samples", "4096", "--log_video"]
    more = ["--steps", "5", "--checkpoint_every", "2", "--early_stop", "9", "--accumulation_steps", "2"]
    assert train.main(flags(dances, out, *shaken, *samples, *more)) == 0
    return out


def test_loss_rate_gradient_and_controls_are_in_the_log(dance_run: Path) -> None:
    for tag in ("loss", "gradient_norm", "compute_share", "lr-AdamW"):
        assert len(curve(dance_run, tag)) >= 4, tag
    assert len(curve(dance_run, "val_loss")) == 3
    assert curve(dance_run, "val_loss").keys() == curve(dance_run, "val_loss_shuffled").keys()


def test_sound_and_pictures_are_in_the_log(dance_run: Path) -> None:
    tags: set[str] = set()
    for file in (dance_run / "log").glob("events*"):
        events = EventAccumulator(str(file)).Reload()
        tags.update(events.Tags()["audio"], events.Tags()["images"])
    assert tags == {f"example_0/{name}" for name in ("original", "predicted", "generated", "picture")}


def test_the_last_step_is_kept_even_if_it_is_no_multiple(dance_run: Path) -> None:
    assert torch.load(dance_run / "last.ckpt", weights_only=True)["global_step"] == 5
    assert {p.name for p in dance_run.glob("*.ckpt")} == {
        "last.ckpt", "best.ckpt", "step=2.ckpt", "step=4.ckpt", "step=5.ckpt"
    }  # fmt: skip


def test_an_end_to_end_model_becomes_a_bundle_that_plays_without_a_mapping(dance_run: Path, tmp_path: Path) -> None:
    assert export.main([str(dance_run / "last.ckpt"), "--out", str(tmp_path / "b"), "--licence", "made of sines"]) == 0
    bundle = load_bundle(tmp_path / "b")
    assert bundle.spec.channel_names == FEATURES
    assert bundle.spec.styles == ("quick", "slow")
    assert bundle.mapping_path is None
    mapping = mapping_for(bundle.mapping_path, bundle.spec, FEATURES)
    features = np.linspace(-1, 1, len(FEATURES), dtype=np.float32)
    low, high = (np.array([getattr(c, end) for c in bundle.spec.channels]) for end in ("minimum", "maximum"))
    np.testing.assert_allclose(mapping.step(features, 1.0), np.clip(features, low, high), atol=1e-6)
    for engine in ("reference", "onnx"):
        assert make_engine(engine, bundle).spec == bundle.spec  # it passed its golden vector
    card = bundle.description_path.read_text(encoding="utf-8")
    assert "made of sines" in card
    assert "dance_3.mp4" in card
    assert "other clips' channels" in card
    assert "--missing_limbs 0.5" in card


KILLED = """
import os, signal, sys
from training import train
from training.loop import callbacks
def kill(self, trainer, *_):
    if trainer.global_step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
callbacks.Waiting.on_train_batch_end = kill
train.main(sys.argv[1:])
"""
"""Nobody can prepare for this, at no moment of our choosing: after step 5, two steps after a checkpoint."""


def test_a_run_killed_before_its_first_validation_goes_on_from_its_last_minute(dances: Path, tmp_path: Path) -> None:
    """kill -9, --resume, a minute made as short as a step: the very weights of the run that nobody touched."""
    more = ("--steps", "8", "--checkpoint_every", "100", "--accumulation_steps", "2", "--ema", "0.9")
    assert train.main(flags(dances, tmp_path / "whole", *more)) == 0
    out = tmp_path / "killed"
    code = KILLED.replace("train.main", "callbacks.SAVED_EVERY_S = 0.0\ntrain.main")
    killed = subprocess.run([sys.executable, "-c", code, *flags(dances, out, *more)], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert [p.name for p in out.glob("*.ckpt")] == ["last.ckpt"]  # nothing was validated, and no draft is left
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 4
    assert train.main(flags(dances, out, *more, "--resume")) == 0
    whole, resumed = weights(tmp_path / "whole" / "last.ckpt"), weights(out / "last.ckpt")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_run_killed_between_checkpoints_ends_as_if_it_had_not_been(dances: Path, tmp_path: Path) -> None:
    """kill -9, --resume: every loss and the very weights of the run that nobody touched."""
    more = ("--steps", "9", "--checkpoint_every", "3", "--num_workers", "1", "--landmark_noise", "0.02")
    assert train.main(flags(dances, tmp_path / "whole", *more)) == 0
    out = tmp_path / "killed"
    killed = subprocess.run([sys.executable, "-c", KILLED, *flags(dances, out, *more)], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 3
    assert train.main(flags(dances, out, *more, "--resume")) == 0
    assert curve(out) == curve(tmp_path / "whole")
    assert curve(out, "val_loss") == curve(tmp_path / "whole", "val_loss")
    whole, resumed = weights(tmp_path / "whole" / "last.ckpt"), weights(out / "last.ckpt")
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)


def test_two_machines_train_as_one_does(dances: Path, tmp_path: Path) -> None:
    """torchrun --nnodes 2 on loopback: same seed, same clips in all, so the same losses but for the order of sums."""
    more = ("--steps", "4", "--checkpoint_every", "4")
    assert train.main(flags(dances, tmp_path / "one", *more)) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1",
                "--master_addr", "127.0.0.1", "--master_port", str(port)]  # fmt: skip
    two = flags(dances, tmp_path / "two", *more, "--dist_backend", "gloo")
    machines = [
        subprocess.Popen([*launcher, "--node_rank", str(rank), *command(*two)[1:]], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [machine.communicate()[1] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said[0][-2000:] + said[1][-2000:]
    for tag in ("loss", "val_loss"):
        alone, together = curve(tmp_path / "one", tag), curve(tmp_path / "two", tag)
        assert alone.keys() == together.keys()
        np.testing.assert_allclose(list(together.values()), list(alone.values()), atol=1e-4)


def test_a_model_of_sound_descriptors_gets_phase_and_a_mapping(dances: Path, tmp_path: Path) -> None:
    chosen = [
        "--channels",
        "pitch",
        "loudness",
        "brightness",
        "--phase_harmonics",
        "4",
        "--bands",
        "8",
        "--mixtures",
        "1",
    ]
    assert train.main(flags(dances, tmp_path / "run", *chosen, "--steps", "1", "--logger", "none")) == 0
    assert export.main([str(tmp_path / "run" / "last.ckpt"), "--name", "voice", "--out", str(tmp_path / "b")]) == 0
    bundle = load_bundle(tmp_path / "b")
    assert bundle.spec.phase is not None
    assert (bundle.spec.phase.harmonics, bundle.spec.bands, bundle.spec.mixtures) == (4, 8, 1)
    assert bundle.mapping_path is not None
    mapping = mapping_for(bundle.mapping_path, bundle.spec, FEATURES)
    assert mapping.routes[0].to_range == (48.0, 72.0)


def test_a_classic_model_trains_and_exports(dances: Path, tmp_path: Path) -> None:
    chosen = ["--setting", "classic", "--input_channels", "32", "--stack_size", "1", "--steps", "1", "--logger", "none"]
    assert train.main(flags(dances, tmp_path / "run", *chosen)) == 0
    assert export.main([str(tmp_path / "run" / "last.ckpt"), "--out", str(tmp_path / "b")]) == 0
    spec = load_bundle(tmp_path / "b").spec
    assert (spec.head, spec.classes, spec.bands, spec.sample_rate) == ("mulaw", 32, 1, 16000)


@pytest.mark.parametrize(
    "chosen",
    [
        ["--optimizer", "SGD", "--momentum", "0.8", "--scheduler", "CyclicLR", "--step_size_up", "2"],
        ["--optimizer", "RMSprop", "--scheduler", "StepLR", "--step_size", "1", "--ema", "0"],
        ["--optimizer", "Adam", "--weight_decay", "0.1", "--scheduler", "MultiStepLR", "--milestones", "1", "2"],
    ],
    ids=lambda c: c[1],
)
def test_optimisers_and_schedules_of_the_origin(dances: Path, tmp_path: Path, chosen: list[str]) -> None:
    chosen = [*chosen, "--learning_rate", "0.01", "--gamma", "0.1", "--base_lr", "0.001"]
    assert train.main(flags(dances, tmp_path, "--steps", "3", *chosen, "--precision", "bf16-mixed")) == 0
    rates = list(curve(tmp_path, f"lr-{chosen[1]}").values())
    expected = {"SGD": [0.001, 0.0055, 0.01], "RMSprop": [0.01, 0.001, 0.0001], "Adam": [0.01, 0.001, 0.0001]}
    np.testing.assert_allclose(rates, expected[chosen[1]], rtol=1e-5)


def test_wandb_by_flag(dances: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    samples = ["--log_samples_every", "1", "--log_samples", "1", "--generate_n_samples", "4096"]
    argv = command(*flags(dances, tmp_path, "--steps", "1", "--logger", "wandb", *samples))
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(tmp_path.glob("log/wandb/offline-run-*/*.wandb"))
    assert list(tmp_path.glob("log/wandb/offline-run-*/files/media/table/example_0*.json"))


def test_pretrained_weights_are_taken_over(dance_run: Path, dances: Path, tmp_path: Path) -> None:
    more = ["--pretrained", str(dance_run / "last.ckpt"), "--steps", "1", "--learning_rate", "1e-9", "--logger", "none"]
    assert train.main(flags(dances, tmp_path, *more, "--seed", "7")) == 0
    before = torch.load(dance_run / "last.ckpt", weights_only=True)["current_model_state"]
    after = weights(tmp_path / "last.ckpt")
    torch.testing.assert_close(after["model.layers__now"], before["model.layers__now"], rtol=0, atol=1e-6)


def test_the_written_flags_start_the_same_run(dance_run: Path) -> None:
    plain = yaml.safe_load((dance_run / "arguments.yaml").read_text())
    args = recipe.read_arguments(["--config", str(dance_run / "arguments.yaml")], "")
    assert {name: value for name, value in vars(args).items() if name in plain and name not in ("dataset", "out")} == {
        name: value for name, value in plain.items() if name not in ("dataset", "out")
    }


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--dataset", "nowhere"], "no such folder"),
        (["--dataset", "EMPTY"], "EMPTY"),
        (["--channels", "pitsch"], "pitsch"),
        (["--seconds", "60"], "--seconds 60"),
        (["--resume"], "nothing to resume"),
        (["--pretrained", "no.ckpt"], "no.ckpt"),
        (["--residual_channels", "20"], "multiple of 16"),
        (["--setting", "classic", "--bands", "8"], "--bands"),
        (["--channels", "loudness", "--phase_harmonics", "3"], "--phase_harmonics"),
        (["--sample_rate", "48000"], "16000"),
        (["--learning_rate", "fast"], "--learning_rate"),
        (["--config", "no_such_experiment"], "overfit"),
        (["--devices", "3"], "--batch_size 2"),
        (["--precision", "16-mixed", "--accelerator", "mps"], "--accelerator"),
    ],
    ids=lambda w: " ".join(w) if isinstance(w, list) else None,
)
def test_bad_input_is_one_line_and_code_2(
    dances: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], named: str
) -> None:
    (tmp_path / "EMPTY").mkdir()
    wrong = [str(tmp_path / w) if w == "EMPTY" else w for w in wrong]
    try:
        code = train.main(flags(dances, tmp_path / "out", "--steps", "1", *wrong))
    except SystemExit as end:  # argparse's own way out
        code = end.code
    assert code == 2
    line = capsys.readouterr().err.strip()
    assert named in line
    assert "\n" not in line


def test_a_raw_folder_is_prepared_on_the_way_and_what_is_unusable_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "valid"):
        folder = tmp_path / "raw" / split / "tones"
        folder.mkdir(parents=True)
        tone = 0.3 * np.sin(np.arange(24000) * 0.1)
        sf.write(folder / f"{split}.wav", tone, 16000)
    (tmp_path / "raw" / "train" / "tones" / "broken.wav").write_bytes(b"RIFF")
    prepared = ["--prepared_path", str(tmp_path / "data"), "--sample_rate", "16000"]
    assert train.main(flags(tmp_path / "raw", tmp_path / "run", *prepared, "--steps", "1", "--logger", "none")) == 0
    assert "broken.wav: skipped" in capsys.readouterr().err
    spec = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["spec"]
    assert spec["sample_rate"] == 16000
    assert [channel["name"] for channel in spec["channels"]][:2] == ["pitch", "voicing"]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_damaged_clip_is_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    corpus = write_dances(tmp_path / "dances", train=1, valid=1)
    run = flags(corpus, tmp_path / "run", "--steps", "1", "--num_workers", workers, "--setting", "classic")
    damaged = corpus / "clips" / "train" / "slow" / "dance_0.flac"
    damaged.write_bytes(damaged.read_bytes()[:99])
    assert train.main(run) == 2
    assert str(damaged) in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_try(
    dances: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = ["--optimizer", "SGD", "--learning_rate", "1e30", "--gradient_clipping", "0", "--scheduler", "none"]
    assert train.main(flags(dances, tmp_path, "--steps", "9", *wild)) == 2
    assert "--learning_rate" in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_run_stops_early_when_nothing_gets_better(dances: Path, tmp_path: Path) -> None:
    still = ["--optimizer", "SGD", "--learning_rate", "1e-30", "--ema", "0", "--checkpoint_every", "1"]
    assert train.main(flags(dances, tmp_path, "--steps", "9", "--early_stop", "2", *still)) == 0
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 3


def test_a_resumed_run_must_be_the_same_run(dance_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = ["--config", str(dance_run / "arguments.yaml"), "--out", str(dance_run)]
    assert train.main([*again, "--steps", "50", "--resume"]) == 2
    assert "--steps 5" in capsys.readouterr().err
