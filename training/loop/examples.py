"""What a run sounds like so far: original, predicted and generated sound in the log, with spectrograms and pitch.

In: held-out clips and the network at a validation. Out: entries of TensorBoard or W&B. Trains nothing, and draws no
random number that the training would have drawn.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from livemove.bundle import as_stored
from livemove.contracts import HOP, Engine, EngineError, Float32, ModelSpec, Weights
from livemove.synthesis import pqmf, sampling
from livemove.synthesis.native import NativeEngine
from livemove.synthesis.reference import ReferenceEngine
from training.data.descriptors import track_pitch
from training.data.feed import Clip, Clips
from training.model.wavenet import WaveNet

FLOOR_DB = -90.0


@dataclass(frozen=True)
class Example:
    """One clip three times, float32 [samples] each: as it is, a step ahead of the truth, and from the channels alone.

    channels [hops, C] in natural units."""

    original: Float32
    predicted: Float32
    generated: Float32
    channels: Float32


def natural(spec: ModelSpec, channels: Float32) -> Float32:
    """Normalised channels [..., C] back in natural units."""
    low = np.array([c.minimum for c in spec.channels], np.float32)
    high = np.array([c.maximum for c in spec.channels], np.float32)
    return np.ascontiguousarray(low + (channels + 1) / 2 * (high - low), np.float32)


def sound_of(spec: ModelSpec, bands: np.ndarray) -> Float32:
    """Audio [steps * bands] of band signals [steps, bands] as in a clip (mulaw: classes [steps, 1])."""
    if spec.head == "mulaw":
        return sampling.mulaw_decode(bands[:, 0], spec.classes)
    if spec.bands == 1:
        return bands[:, 0].astype(np.float32)
    before = np.zeros((spec.pqmf_taps // spec.bands - 1, spec.bands), np.float32)
    return pqmf.synthesis(before, bands.astype(np.float32), spec.bands, spec.pqmf_taps)


def predict(network: WaveNet, clip: Clip) -> Float32:
    """Sound of the likeliest class, or of the mixtures' means, at every step given the true past."""
    spec, device = network.spec, network.weight("skip.bias").device
    bands = torch.from_numpy(clip["bands"])[None].to(device)
    values = bands if spec.head == "mulaw" else bands / network.weight("bands.scale")
    channels, hz, cycles = (torch.from_numpy(clip[name])[None].to(device) for name in ("channels", "hz", "cycles"))
    style = torch.from_numpy(np.array([clip["style"]])).to(device)
    with torch.no_grad():
        parameters = network(values, channels, hz, cycles, style)[0][0].float()
    if spec.head == "mulaw":
        return sound_of(spec, parameters.argmax(-1, keepdim=True).cpu().numpy())
    logits, means, _ = parameters.unflatten(-1, (spec.bands, 3, spec.mixtures)).unbind(-2)
    expected = (torch.softmax(logits, -1) * means).sum(-1).clamp(-1, 1) * network.weight("bands.scale")
    return sound_of(spec, expected.cpu().numpy())


def quickest_engine(spec: ModelSpec, weights: Weights) -> Engine:
    """The native engine where it is built, or the one in NumPy, which takes seconds for a second."""
    try:
        return NativeEngine(spec, weights)
    except EngineError:
        return ReferenceEngine(spec, weights)


def generate(engine: Engine, channels: Float32, style: int, temperature: float, seed: int) -> Float32:
    """Audio [hops * HOP] freely sampled from channels [hops, C] in natural units."""
    spec = engine.spec
    noise = np.random.default_rng(seed).random((len(channels) * spec.steps_per_hop, spec.noise_width), np.float32)
    out = np.empty(len(channels) * HOP, np.float32)
    engine.generate(out, channels, noise, style=style, temperature=temperature)
    return out


def spectrogram_db(audio: Float32, width: int = 1024) -> Float32:
    """[width / 2 + 1, frames] in dB below full scale, floored."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, width // 2), width)[::HOP]
    window = np.hanning(width)
    amplitude = np.abs(np.fft.rfft(frames * window)) * (2 / window.sum())
    return np.maximum(20 * np.log10(amplitude + 1e-9), FLOOR_DB).T.astype(np.float32)


def image(spec: ModelSpec, example: Example, with_channels: bool) -> Figure:
    """Spectrograms of the three, the pitch that is heard and asked for, and (if wanted) the channels."""
    rate, seconds = spec.sample_rate, len(example.original) / spec.sample_rate
    figure = Figure(figsize=(10, 11 if with_channels else 8.5), layout="constrained")
    axes = figure.subplots(5 if with_channels else 4, 1, sharex=True)
    for axis, name in zip(axes, ("original", "predicted", "generated"), strict=False):
        extent = (0.0, seconds, 0.0, rate / 2000)
        decibels = spectrogram_db(getattr(example, name))
        axis.imshow(decibels, origin="lower", aspect="auto", extent=extent, vmin=FLOOR_DB, vmax=0, cmap="magma")
        axis.set_ylabel(f"{name}\nkHz")
    for name, style in (("original", "-"), ("generated", ".")):
        note, voicing = track_pitch(getattr(example, name), rate)
        times = (np.arange(len(note)) + 0.5) * HOP / rate
        axes[3].plot(times, np.where(voicing > 0.5, note, np.nan), style, label=name)
    if "pitch" in spec.channel_names:
        asked = example.channels[:, spec.channel_names.index("pitch")]
        axes[3].plot((np.arange(len(asked)) + 0.5) * HOP / rate, asked, ":", label="asked for")
    axes[3].set_ylabel("pitch\nMIDI note")
    axes[3].legend(loc="upper right")
    if with_channels:
        low, high = (np.array([getattr(c, end) for c in spec.channels]) for end in ("minimum", "maximum"))
        height = len(spec.channels)
        axes[4].imshow(
            ((example.channels - low) / (high - low)).T, aspect="auto", extent=(0.0, seconds, height, 0), vmin=0, vmax=1
        )
        axes[4].set_yticks(np.arange(height) + 0.5, spec.channel_names, fontsize=5)
    axes[-1].set_xlabel("seconds")
    return figure


class Examples(pl.Callback):
    """At the validation after every --log_samples_every steps, and at the last: a few held-out clips into the log.

    Stands before the averaging among the callbacks, so that it meets the averaged weights.
    """

    def __init__(self, args: argparse.Namespace, clips: Clips) -> None:
        self.args, self.clips = args, clips
        self.due = args.log_samples_every

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        due = trainer.global_step >= min(self.due, trainer.max_steps)
        if trainer.sanity_checking or not due or not trainer.is_global_zero:
            return
        self.due = trainer.global_step + self.args.log_samples_every
        network: WaveNet = pl_module.model  # pyright: ignore
        for number in range(self.args.log_samples):
            self.write(trainer, number, self.example(network, number))

    def state_dict(self) -> dict[str, int]:
        return {"due": self.due}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.due = state_dict["due"]

    def example(self, network: WaveNet, number: int) -> Example:
        spec = network.spec
        clip = self.clips[number]
        channels = natural(spec, clip["channels"])
        engine = quickest_engine(spec, as_stored(network.weights()))
        temperature = self.args.generate_temperature or spec.temperature
        generated = generate(engine, channels, int(clip["style"]), temperature, number)
        return Example(sound_of(spec, clip["bands"]), predict(network, clip), generated, channels)

    def write(self, trainer: pl.Trainer, number: int, example: Example) -> None:
        spec, step = self.clips.spec, trainer.global_step
        figure = image(spec, example, self.args.log_video)
        sounds = {name: getattr(example, name) for name in ("original", "predicted", "generated")}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                for name, audio in sounds.items():
                    tag, tensor = f"example_{number}/{name}", torch.from_numpy(np.clip(audio, -1, 1))[None]
                    logger.experiment.add_audio(tag, tensor, step, spec.sample_rate)
                logger.experiment.add_figure(f"example_{number}/picture", figure, step)
            elif isinstance(logger, WandbLogger):
                import wandb

                row = [step, *(wandb.Audio(np.clip(a, -1, 1), spec.sample_rate) for a in sounds.values())]
                table = wandb.Table(["step", *sounds, "picture"], [[*row, wandb.Image(figure)]])
                logger.experiment.log({f"example_{number}": table, "trainer/global_step": step})
