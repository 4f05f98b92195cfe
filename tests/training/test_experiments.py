"""Every experiment begins and ends; the stage network learns a clip by heart; memory holds a batch, not the data."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from livemove.body.features import FEATURES
from livemove.contracts import HOP
from livemove.synthesis.sampling import LOG_SCALE_FLOOR
from tests.support.dances import CHANNELS, RATE, dance, write_dances
from tests.support.hit_recordings import write_voices
from tests.support.paths import ROOT
from training import train
from training.data import percussion, procedural
from training.data.corpus import Clip, Corpus, Writer, packed, write_clip
from training.data.feed import Recorded, band_scale
from training.loop import recipe
from training.loop.losses import onset_loss

SMALL = ["--steps", "2", "--batch_size", "2", "--seconds", "0.3", "--residual_channels", "16", "--skip_channels", "16",
         "--layer_size", "4", "--stack_size", "1", "--num_workers", "0", "--no-compile", "--threads", "1",
         "--generate_n_samples", "4096", "--log_samples", "1", "--accelerator", "cpu", "--no-pin_memory"]  # fmt: skip


@pytest.fixture(scope="module")
def dances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dances(tmp_path_factory.mktemp("corpus") / "dances")


@pytest.fixture(scope="module")
def hits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of struck sounds, for models that hits play."""
    voices = write_voices(tmp_path_factory.mktemp("voices"))
    root = tmp_path_factory.mktemp("struck") / "data"
    list(percussion.prepare(voices, root, clips=10, seconds=4.0))
    return root


@pytest.mark.parametrize("experiment", sorted(p.stem for p in recipe.EXPERIMENTS.glob("*.yaml")))
def test_every_experiment_begins_and_ends(
    dances: Path, hits: Path, dance_corpus: Corpus, tmp_path: Path, experiment: str
) -> None:
    """At a hundredth of its size; its optimiser, schedule, precision, augmentation and log are its own."""
    document = recipe.read_experiment(recipe.find_experiment(Path(experiment)))
    channels = document.get("channels", [])
    corpus = hits if "left_hand" in channels else dance_corpus.root if "accents" in channels else dances
    data = [] if "instrument" in document else ["--dataset", str(corpus)]
    assert train.main(["--config", experiment, "--out", str(tmp_path), *data, *SMALL]) == 0
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 2


def test_hits_are_learnt_from_the_networks_own_past_too(hits: Path, tmp_path: Path) -> None:
    """From the step on that was asked for; and no step learns from a clip's lead-in."""
    own = ["--own_past", "0.5", "--own_past_from", "0.5", "--lead_in", "0.1", "--resident", "--input_noise", "0"]

    class Look(pl.Callback):
        figures: ClassVar[list[dict[str, float]]] = []

        def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
            assert isinstance(module, train.Training)
            with torch.no_grad():
                each, parameters, _ = module.loss(batch, 0.0)
                struck = onset_loss(module.model, parameters, batch, module.onsets)
            self.expected = float(each[:, 300:].mean() + struck)

        def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any) -> None:
            own = float(trainer.callback_metrics.get("own_past_loss", math.nan))
            self.figures.append({"loss": float(outputs["loss"]), "expected": self.expected, "own": own})

    flags = ["--config", "bodydrum", "--dataset", str(hits), "--out", str(tmp_path / "run"), *SMALL, *own]
    flags += ["--onset_loss", "1"]
    train.run(recipe.read_arguments(flags, ""), [Look()])
    first, second = Look.figures
    assert math.isnan(first["own"])
    assert first["loss"] == pytest.approx(first["expected"], abs=1e-4)
    assert second["loss"] == pytest.approx(second["expected"] + 0.5 * second["own"], abs=1e-4)


# --- by heart -----------------------------------------------------------------------------------------------


class Watch(pl.Callback):
    """The first loss, and the last one of the whole clip."""

    first = last = float("nan")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        self.first = float(outputs["loss"]) if trainer.global_step == 1 else self.first

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.last = float(trainer.callback_metrics["val_loss"])


def write_theremin(root: Path) -> Corpus:
    """A corpus of one clip: somebody plays the procedural theremin for 10 s, with both hands."""
    hops = 10 * 48000 // HOP
    poses, features, _ = dance(1, hops, 48000)
    right, left, apart = (
        features[:, FEATURES.index(name)] for name in ("right_hand_height", "left_hand_height", "hand_distance")
    )
    audio = procedural.tone(np.stack([69 + 12 * right, 0.5 + 0.5 * left, apart], -1).astype(np.float32), 0.0)
    writer = Writer(root, 48000, "none", {"features": CHANNELS})
    clip = Clip("train", "hands", "one", "one.mp4", tracks=("features",), hops=hops, seconds=10.0, frames=len(poses))
    write_clip(root, clip, audio, 48000, {"features": features, **packed(poses)})
    writer.record(clip)
    writer.close()
    return Corpus(root)


def without_past(values: torch.Tensor) -> float:
    """Nats per value of [steps, bands] when each band's values are drawn from one logistic of the best width that the
    head may have: what is known of them without their past and without the dancer."""
    scales = torch.linspace(LOG_SCALE_FLOOR, 0, 100).exp()[:, None, None]
    z = values / scales
    return float((z + scales.log() + 2 * F.softplus(-z)).mean(1).min(0).values.mean())


def test_the_stage_network_learns_ten_seconds_by_heart(tmp_path: Path) -> None:
    """The stage setting, narrower, hears half seconds of one 10 s clip again and again: on the whole of it the loss
    then is 1.5 nats a value below the first, and below what is known without the past and without the dancer."""
    corpus = write_theremin(tmp_path / "hands")
    narrow = ["--residual_channels", "16", "--skip_channels", "32", "--conditioning_channels", "16"]
    short = ["--steps", "250", "--batch_size", "2", "--seconds", "0.5", "--learning_rate", "0.01"]
    quick = ["--checkpoint_every", "250", "--log_samples_every", "0", "--logger", "none", "--num_workers", "0"]
    where = ["--dataset", str(corpus.root), "--out", str(tmp_path / "run"), "--overfit", "0"]
    args = recipe.read_arguments(["--config", "overfit", *where, *short, *quick, *narrow], "")
    watch = Watch()
    train.run(args, [watch])
    source = Recorded(corpus, [channel.name for channel in corpus.channels])
    spec = recipe.model_spec(args, corpus.sample_rate, source.channels, source.styles)
    assert (spec.sample_rate, spec.bands, spec.dilations) == (48000, 16, tuple(2**i for i in range(10)))
    clip = source.clip(spec, source.longest_hops(False), 0, 0, False)
    known = without_past(torch.from_numpy(clip["bands"] / band_scale(source, spec, args.seed)))
    assert watch.last < watch.first - 1.5
    assert watch.last < known


# --- memory -------------------------------------------------------------------------------------------------

LIMITED = """
import resource, sys
import numpy as np
from pathlib import Path
from training import train
from training.data.corpus import Corpus

def figure(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) << 10

corpus = Corpus(Path(sys.argv[1]))
names = [channel.name for channel in corpus.channels]
train.main([*sys.argv[2:], "--steps", "1"])  # what is loaded by then does not count
limit = figure("VmData") + (ROOM << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    held = [corpus.read(clip, names, 0, clip.hops).channels for clip in corpus.clips]
    print("fits")
except MemoryError:
    print("does not fit")
held = None
before = figure("VmRSS")
code = train.main([*sys.argv[2:], "--steps", "40"])
print(code, (figure("VmRSS") - before) >> 20)
"""
ROOM_MB, CLIPS, HOPS = 160, 24, 60_000


def test_training_holds_no_more_of_its_data_than_a_batch(tmp_path: Path) -> None:
    """24 clips of 16 minutes, 190 MB of features and 1.5 GB of sound, and room for 160 MB: the data does not fit, the
    run goes through, and its memory grows by less than one clip's."""
    writer = Writer(tmp_path / "large", RATE, "none", {"features": CHANNELS})
    files: list[Path] = []
    for number in range(CLIPS):
        clip = Clip(
            "train", "long", f"{number:02d}", "x.mp4", tracks=("features",), hops=HOPS, seconds=HOPS * HOP / RATE
        )
        if not files:  # all the others are further names for the same two files
            write_clip(
                writer.root, clip, np.zeros(HOPS * HOP, np.float32), RATE, {"features": np.zeros((HOPS, 33), "f4")}
            )
            files = sorted((writer.root / "clips" / "train" / "long").iterdir())
        for path in files if number else []:
            os.link(path, path.with_stem(clip.name))
        writer.record(clip)
    writer.close()
    run = ["--dataset", str(writer.root), "--out", str(tmp_path / "run"), *SMALL, "--logger", "none"]
    code = LIMITED.replace("ROOM", str(ROOM_MB))
    done = subprocess.run(
        [sys.executable, "-c", code, str(writer.root), *run], capture_output=True, text=True, cwd=ROOT
    )
    said = done.stdout.strip().splitlines()
    assert "does not fit" in said, done.stderr[-2000:]
    ended, grown_mb = said[-1].split()
    assert ended == "0", done.stderr[-2000:]
    assert int(grown_mb) < 60
