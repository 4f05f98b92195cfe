"""What looks on while a model is trained: checkpoints, the share of the time that computes, progress.

In: Lightning's trainer at its moments. Out: files and figures. Knows no network and no flags.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, RichProgressBar, TQDMProgressBar

KEPT = 3
"""Checkpoints kept beside last.ckpt and best.ckpt."""
SAVED_EVERY_S = 60.0
"""last.ckpt is at most that old."""


class Checkpoints(Checkpoint):
    """After every validation, whose figures it holds: last.ckpt, the newest few as step=N.ckpt, and best.ckpt. Between
    them last.ckpt is never older than SAVED_EVERY_S, from the first minute on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best = math.inf
        self.saved_s = 0.0

    def on_train_start(self, *_: Any) -> None:
        self.saved_s = time.monotonic()

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Here the step before is over in all counters, and no gradient waits for the rest of its step, so that a run
        goes on from it as from a validation."""
        if not trainer.global_step or batch_idx % trainer.accumulate_grad_batches:
            return
        due = time.monotonic() - self.saved_s >= SAVED_EVERY_S
        if trainer.strategy.reduce_boolean_decision(due, all=False):  # all write, or none
            draft = self.folder / ".newest.ckpt"
            trainer.save_checkpoint(draft, weights_only=False)
            if trainer.is_global_zero:
                os.replace(draft, self.folder / "last.ckpt")
            self.saved_s = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step >= trainer.max_steps:
            trainer.should_stop = True  # Lightning then validates once more, wherever the last step falls

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        loss = float(trainer.callback_metrics["val_loss"])
        better = loss < self.best
        self.best = min(loss, self.best)
        newest = self.folder / f"step={trainer.global_step}.ckpt"
        trainer.save_checkpoint(newest, weights_only=False)
        self.saved_s = time.monotonic()
        if not trainer.is_global_zero:
            return
        for name in ["last.ckpt"] + ["best.ckpt"] * better:
            draft = self.folder / f".{name}"
            draft.unlink(missing_ok=True)
            try:
                os.link(newest, draft)  # a second name for the same file takes no room
            except OSError:  # a disk without such names
                shutil.copyfile(newest, draft)
            os.replace(draft, self.folder / name)
        for old in sorted(self.folder.glob("step=*.ckpt"), key=lambda p: p.stat().st_mtime)[:-KEPT]:
            old.unlink()

    def state_dict(self) -> dict[str, float]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self.best = state_dict["best"]


class Waiting(pl.Callback):
    """How much of the time goes into steps, and how much into waiting for clips: `compute_share` in the log."""

    def __init__(self, log_every: int) -> None:
        self.log_every = log_every
        self.computing_s = self.waiting_s = self.mark_s = 0.0

    def on_train_start(self, *_: Any) -> None:
        self.mark_s = time.perf_counter()

    def on_train_batch_start(self, *_: Any) -> None:
        now_s = time.perf_counter()
        self.waiting_s += now_s - self.mark_s
        self.mark_s = now_s

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        now_s = time.perf_counter()
        self.computing_s += now_s - self.mark_s
        self.mark_s = now_s
        if trainer.global_step % self.log_every == 0:
            pl_module.log("compute_share", self.share)

    def on_validation_end(self, *_: Any) -> None:
        self.mark_s = time.perf_counter()  # validating is neither

    @property
    def share(self) -> float:
        return self.computing_s / max(self.computing_s + self.waiting_s, 1e-9)


class _Resumable:
    """A progress bar that knows how far it is in a resumed run, too: Lightning begins no new epoch then."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)  # type: ignore[misc]
        if trainer.global_step:
            self.on_train_epoch_start(trainer, pl_module)  # type: ignore[attr-defined]


class Bar(_Resumable, RichProgressBar):
    """On a terminal."""


class PlainBar(_Resumable, TQDMProgressBar):
    """In a file."""
