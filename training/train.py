"""Train a model: `python training/train.py --instrument theremin`. Writes checkpoints, a TensorBoard log, model.json.

Lightning runs the loop (checkpoints, exact resume, averaging, progress); this file says what a step is.
Instruments are procedural for now: clips come from training.procedural, seeded by (seed, index), so a resumed run
sees the clips it would have seen.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from livemove.contracts import HOP, ModelSpec
from training import procedural
from training.wavenet import WaveNet, nats

INSTRUMENTS = {"theremin": procedural.theremin_spec}


class Clips(IterableDataset[dict[str, np.ndarray]]):
    """Endless procedural clips, the i-th always the same for one seed; starts at clip `first`."""

    def __init__(self, spec: ModelSpec, hops: int, seed: int, first: int = 0, count: int | None = None) -> None:
        self.spec, self.hops, self.seed, self.first, self.count = spec, hops, seed, first, count

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        index = self.first
        while self.count is None or index < self.first + self.count:
            yield procedural.example(np.random.default_rng((self.seed, index)), self.spec, self.hops)
            index += 1


def band_scale(spec: ModelSpec, seed: int, clips: int = 64) -> np.ndarray:
    """Per band, a little above the largest value met in some clips: network values stay inside -1..1."""
    peak = np.zeros(spec.bands)
    for clip in Clips(spec, 188, seed, count=clips):
        peak = np.maximum(peak, np.abs(clip["bands"]).max(0))
    return np.maximum(peak * 1.25, 2e-3).astype(np.float16).astype(np.float32)


class Training(pl.LightningModule):
    """One optimisation step: teacher forcing on noised inputs, negative log likelihood of the clean ones."""

    def __init__(self, spec: ModelSpec, args: argparse.Namespace) -> None:
        super().__init__()
        self.args = args
        self.model = WaveNet(spec)
        self.model.weight("bands.scale").copy_(torch.from_numpy(band_scale(spec, args.seed)))

    def start_from(self, checkpoint: Path) -> None:
        """Take over a checkpoint's weights as the optimiser left them (not their average), its band scales too."""
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if saved["spec"] != dataclasses.asdict(self.model.spec):
            sys.exit(f"{checkpoint}: holds another network ({saved['spec']['name']}); --pretrained needs the same spec")
        state = saved.get("current_model_state", saved["state_dict"])
        self.model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})

    def loss(self, batch: dict[str, Tensor], noise: float) -> Tensor:
        """Mean nats per value; every clip's inputs are noised by its own share of `noise` (standard deviation)."""
        spec = self.model.spec
        values = batch["bands"] / self.model.weight("bands.scale")
        inputs = values
        if noise > 0:
            generator = torch.Generator().manual_seed((self.args.seed << 32) + self.global_step)  # a resumed run's too
            share = torch.rand(len(values), 1, 1, generator=generator) ** 3
            inputs = values + noise * share * torch.randn(values.shape, generator=generator)
        style = torch.zeros(len(values), dtype=torch.long)
        parameters = self.model(inputs, batch["channels"], batch["phases"], style)
        return nats(spec, parameters, values).mean()

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        progress = self.global_step / self.args.steps
        loss = self.loss(batch, self.args.input_noise * (1 - progress))
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.log("val_loss", self.loss(batch, 0.0), prog_bar=True, batch_size=len(batch["bands"]))

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        checkpoint["spec"] = dataclasses.asdict(self.model.spec)
        checkpoint["arguments"] = {name: str(v) if isinstance(v, Path) else v for name, v in vars(self.args).items()}

    def configure_optimizers(self) -> dict[str, object]:
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.args.learning_rate, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.args.learning_rate, total_steps=self.args.steps + 1, pct_start=0.05
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--instrument", choices=sorted(INSTRUMENTS), default="theremin", help="what to train")
    parser.add_argument("--out", type=Path, default=Path("runs/theremin"), help="folder of checkpoints and logs")
    parser.add_argument("--steps", type=int, default=4000, help="optimisation steps")
    parser.add_argument("--batch_size", type=int, default=8, help="clips per step")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a clip")
    parser.add_argument("--learning_rate", type=float, default=2e-3, help="peak of the one-cycle schedule")
    parser.add_argument("--gradient_clipping", type=float, default=1.0, help="largest gradient norm")
    parser.add_argument("--input_noise", type=float, default=0.05, help="noise on teacher-forced inputs, annealed to 0")
    parser.add_argument("--seed", type=int, default=1, help="of weights and clips")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    parser.add_argument("--checkpoint_every", type=int, default=250, help="steps between checkpoints and validations")
    parser.add_argument("--pretrained", type=Path, default=None, help="start from this checkpoint's weights")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/last.ckpt")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    torch.set_flush_denormal(True)  # saturated gates make denormal gradients; worker threads inherit the flag
    pl.seed_everything(args.seed, verbose=False)
    if args.threads:
        torch.set_num_threads(args.threads)
    spec = INSTRUMENTS[args.instrument]()
    hops = round(args.seconds * spec.sample_rate / HOP)
    last = args.out / "last.ckpt"
    first = 0
    if args.resume:
        if not last.exists():
            sys.exit(f"nothing to resume: {last} does not exist; start without --resume")
        first = torch.load(last, map_location="cpu", weights_only=True)["global_step"] * args.batch_size
    trainer = pl.Trainer(
        accelerator="auto",
        max_steps=args.steps,
        gradient_clip_val=args.gradient_clipping,
        logger=TensorBoardLogger(args.out, name="log", version=""),
        log_every_n_steps=10,
        val_check_interval=args.checkpoint_every,
        check_val_every_n_epoch=None,
        callbacks=[
            EMAWeightAveraging(decay=0.998),
            ModelCheckpoint(
                args.out,
                "{step}",
                monitor="step",
                mode="max",
                save_top_k=3,
                save_last=True,
                enable_version_counter=False,
                every_n_train_steps=args.checkpoint_every,
            ),
            LearningRateMonitor("step"),
            RichProgressBar(refresh_rate=10) if sys.stderr.isatty() else pl.callbacks.TQDMProgressBar(refresh_rate=50),
        ],
    )
    training = DataLoader(Clips(spec, hops, args.seed, first), batch_size=args.batch_size)
    held_out = DataLoader(Clips(spec, hops, procedural.HELD_OUT_SEED, count=16), batch_size=args.batch_size)
    module = Training(spec, args)
    if args.pretrained:
        module.start_from(args.pretrained)
    trainer.fit(module, training, held_out, ckpt_path=last if args.resume else None)
    print(f"trained {trainer.global_step} steps; checkpoint: {last}")


if __name__ == "__main__":
    main()
