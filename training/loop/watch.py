"""A run that somebody waits for: how far it is, an example to listen to every few minutes, a checkpoint every minute.

In: a trainer's calls. Out: WAV files and checkpoints in folders, numbers to whoever shows them. Ctrl-C ends the run
after the step that is being made, with a validation and a checkpoint. Trains nothing, prints nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import soundfile as sf

from livemove.bundle import as_stored
from livemove.contracts import HOP, Float32
from training.data.feed import Clips, Feed
from training.loop import examples
from training.model.wavenet import WaveNet

CHECKPOINT_S = 50.0
"""A checkpoint is never older, however slow the steps are."""
EXAMPLE_S = 150.0
"""An example at the first validation after so long, and at the end."""
EXAMPLE_LENGTH_S = 4.0
GAP_S = 0.4


class Watch(pl.callbacks.ProgressBar):
    """on_progress: called after each step with (steps done, steps in all, seconds left or None); on_example: with the
    file. Stands before the averaging among the callbacks, so that examples are of the averaged weights."""

    def __init__(
        self, out: Path, temperature: float, on_progress: Callable[[int, int, float | None], None],
        on_example: Callable[[Path], None],
    ) -> None:  # fmt: skip
        super().__init__()
        self.out, self.temperature, self.on_progress, self.on_example = out, temperature, on_progress, on_example
        self.stop = False
        self.began_s = self.saved_s = self.example_s = time.monotonic()
        self.first = 0

    def disable(self) -> None:
        """Lightning's wish on all machines but the first: only one is ever watched."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.began_s = self.saved_s = self.example_s = time.monotonic()
        self.first = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        now_s, done, total = time.monotonic(), trainer.global_step, int(trainer.max_steps)
        made = done - self.first
        self.on_progress(done, total, (now_s - self.began_s) / made * (total - done) if made >= 5 else None)
        if self.stop:
            trainer.should_stop = True  # Lightning validates once more, and Checkpoints saves
        elif now_s - self.saved_s > CHECKPOINT_S and done < total:
            draft = self.out / ".minute.ckpt"
            trainer.save_checkpoint(draft, weights_only=False)
            os.replace(draft, self.out / "last.ckpt")
            self.saved_s = now_s

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.saved_s = time.monotonic()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        due = time.monotonic() - self.example_s > EXAMPLE_S or trainer.global_step >= trainer.max_steps or self.stop
        if trainer.sanity_checking or not due:
            return
        feed: Feed = trainer.datamodule  # type: ignore[attr-defined]
        network: WaveNet = pl_module.model  # type: ignore[assignment]
        path = self.out / "examples" / f"step_{trainer.global_step:06d}.wav"
        write_example(path, network, feed.held_out, self.temperature)
        self.example_s = time.monotonic()
        self.on_example(path)

    @contextlib.contextmanager
    def ending_on_ctrl_c(self) -> Generator[None]:
        """The first Ctrl-C inside ends the run after its step; the second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handler(number: int, frame: object) -> None:
            if self.stop:
                raise KeyboardInterrupt
            self.stop = True

        before = signal.signal(signal.SIGINT, handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def write_example(path: Path, network: WaveNet, held_out: Clips, temperature: float) -> None:
    """The longest held-out stretch, up to EXAMPLE_LENGTH_S, as it was recorded, and then as its channels play it."""
    spec, source = network.spec, held_out.source
    hops = min(round(EXAMPLE_LENGTH_S * spec.sample_rate / HOP), source.longest_hops(True))
    clip = Clips(source, spec, hops, held_out.seed, held_out=True)[0]
    engine = examples.quickest_engine(spec, as_stored(network.weights()))
    played = examples.generate(engine, examples.natural(spec, clip["channels"]), int(clip["style"]), temperature, 0)
    gap: Float32 = np.zeros(round(GAP_S * spec.sample_rate), np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    both = np.concatenate([examples.sound_of(spec, clip["bands"]), gap, played])
    sf.write(path, np.clip(both, -1, 1), spec.sample_rate)
