"""One network's weights for another: what matches by name, channel, dilation and harmonic is carried over, rescaled.

In: the spec and weights of a trained model, a fresh network. Out: the network, and what of it started anew. Where both
networks have all of it, the new one computes what the old one did, in its own units. Knows no corpus and no optimiser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from livemove.contracts import Channel, Float32, Gate, HarmonicPath, ModelSpec, Phase, Weights
from training.model.wavenet import WaveNet


def spec_of(plain: Mapping[str, Any]) -> ModelSpec:
    """A ModelSpec from the plain dictionaries that a checkpoint holds. Raises KeyError, TypeError."""
    kinds = {"phase": Phase, "harmonic_path": HarmonicPath, "gate": Gate}
    fields = {**plain, **{name: kind(**plain[name]) for name, kind in kinds.items() if plain.get(name)}}
    fields["channels"] = tuple(Channel(**channel) for channel in plain["channels"])
    return ModelSpec(**{**fields, "dilations": tuple(plain["dilations"]), "styles": tuple(plain["styles"])})


def differences(a: ModelSpec, b: ModelSpec) -> list[str]:
    """The fields by which two networks differ; name and temperature change no weight."""
    mine, theirs = dataclasses.asdict(a), dataclasses.asdict(b)
    return [name for name in mine if name not in ("name", "temperature") and mine[name] != theirs[name]]


def transfer(network: WaveNet, spec: ModelSpec, weights: Weights, style: int = 0) -> list[str]:
    """Carry a model's weights into a network, in place; returns the names of those that stayed as they were.

    Channels go by name, through the straight line between the two ranges; one the network has not is held at rest.
    Styles go by name, any other begins as the model's `style`. Layers go by dilation; one that the model lacks begins
    without effect. Values of a band go by the quotient of the two scales, so bands.scale stays the network's own.
    """
    mover = _Mover(network, spec, weights)
    mover.conditioner(style)
    mover.input()
    mover.layers()
    mover.head()
    for name in weights:
        if name.startswith("harmonics."):
            mover.as_it_is(name)
    mover.path_of_styles(style)
    with torch.no_grad():
        for name, value in mover.moved.items():
            network.weight(name).copy_(torch.from_numpy(np.ascontiguousarray(value, np.float32)))
    return [name for name in network.weights() if name not in mover.moved and name != "bands.scale"]


class _Mover:
    """What has been moved so far: `moved`, by name. own: the network's weights, spec: of both."""

    def __init__(self, network: WaveNet, spec: ModelSpec, weights: Weights) -> None:
        self.new, self.old = network.spec, spec
        self.own, self.weights = network.weights(), weights
        self.moved: dict[str, Float32] = {}
        same_head = (self.new.head, self.new.bands, self.new.classes) == (spec.head, spec.bands, spec.classes)
        self.same_values = same_head
        self.ratio = np.ones(self.new.symbols, np.float32)
        if same_head and spec.head == "logistic":
            self.ratio = self.own["bands.scale"] / weights["bands.scale"]

    def as_it_is(self, name: str) -> None:
        if name in self.own and self.own[name].shape == self.weights[name].shape:
            self.moved[name] = self.weights[name]

    def conditioner(self, style: int) -> None:
        """c_old = a c_new + b for each channel that both have: the rows take a, the bias b."""
        new, old = self.new, self.old
        if new.conditioning != old.conditioning:
            return
        places = {channel.name: i for i, channel in enumerate(old.channels)}
        rows = np.zeros_like(self.own["conditioner.weight"])
        bias = self.weights["conditioner.bias"].copy()
        for i, channel in enumerate(new.channels):
            if channel.name in places:
                before = old.channels[places[channel.name]]
                row = self.weights["conditioner.weight"][places[channel.name]]
                width = before.maximum - before.minimum
                rows[i] = row * (channel.maximum - channel.minimum) / width
                bias += row * _normalised(before, (channel.minimum + channel.maximum) / 2)
        for channel in old.channels:
            if channel.name not in new.channel_names:
                bias += self.weights["conditioner.weight"][places[channel.name]] * _normalised(channel, channel.rest)
        embedding = self.weights["style.embedding"]
        chosen = self.styles_of(style)
        self.moved |= {
            "conditioner.weight": rows,
            "conditioner.bias": bias.astype(np.float32),
            "style.embedding": embedding[chosen],
        }

    def path_of_styles(self, style: int) -> None:
        """The path's last layer has a part for each style, where there are several."""
        if not (self.new.harmonic_path and self.old.harmonic_path):
            return
        if self.new.harmonic_path != self.old.harmonic_path or self.new.styles == self.old.styles:
            return
        parts = self.weights["harmonics.weight_3"].reshape(max(len(self.old.styles), 1), -1, self.old.path_width)
        self.moved["harmonics.weight_3"] = parts[self.styles_of(style)].reshape(-1, self.old.path_width)

    def styles_of(self, style: int) -> list[int]:
        """For each style of the network the model's of that name, or `style`."""
        old = self.old.styles
        return [old.index(name) if name in old else style for name in self.new.styles or ("",)]

    def input(self) -> None:
        if self.new.residual != self.old.residual:
            return
        self.as_it_is("input.bias")
        if self.same_values:
            scale = self.ratio[:, None] if self.new.head == "logistic" else np.float32(1)
            self.moved["input.weight"] = self.weights["input.weight"] * scale
            if self.new.harmonic_path and self.old.harmonic_path:
                self.moved["input.harmonics"] = self.weights["input.harmonics"] * self.ratio[:, None]
        if self.new.phase and self.old.phase:
            count = min(self.new.phase.harmonics, self.old.phase.harmonics)
            rows = np.zeros_like(self.own["input.phase"])
            for new_first, old_first in ((0, 0), (self.new.phase.harmonics, self.old.phase.harmonics)):
                rows[new_first : new_first + count] = self.weights["input.phase"][old_first : old_first + count]
            self.moved["input.phase"] = rows

    def layers(self) -> None:
        """The n-th layer of a dilation from the n-th of that dilation."""
        new, old = self.new, self.old
        if new.residual != old.residual:
            return
        names = ["past", "now", "bias", "residual", "residual_bias"]
        names += ["condition"] * (new.conditioning == old.conditioning) + ["skip"] * (new.skip == old.skip)
        pairs = [(i, j) for i, j in enumerate(_places(new.dilations, old.dilations)) if j is not None]
        missing = sorted(set(range(new.layers)) - {i for i, _ in pairs})
        for part in names:
            name = f"layers.{part}"
            out, theirs = self.own[name].copy(), self.weights[name]
            if part in ("residual", "residual_bias", "skip"):
                out[[i for i in missing if i < len(out)]] = 0
            for i, j in pairs:
                if i < len(out):
                    out[i] = theirs[j] if j < len(theirs) else 0
            self.moved[name] = out

    def head(self) -> None:
        """Means go by the scales' quotient, log scales by its logarithm."""
        new, old = self.new, self.old
        for name in ("skip.bias", "head.weight_1", "head.bias_1"):
            self.as_it_is(name)
        if not self.same_values or (new.hidden, new.mixtures) != (old.hidden, old.mixtures):
            return
        weight, bias = self.weights["head.weight_2"].copy(), self.weights["head.bias_2"].copy()
        if new.head == "logistic":
            columns = weight.reshape(-1, new.bands, 3, new.mixtures)
            offsets = bias.reshape(new.bands, 3, new.mixtures)
            columns[:, :, 1] /= self.ratio[:, None]
            offsets[:, 1] /= self.ratio[:, None]
            offsets[:, 2] -= np.log(self.ratio)[:, None]
        self.moved |= {"head.weight_2": weight, "head.bias_2": bias}


def _normalised(channel: Channel, value: float) -> np.float32:
    return np.float32(2 * (value - channel.minimum) / (channel.maximum - channel.minimum) - 1)


def _places(new: tuple[int, ...], old: tuple[int, ...]) -> list[int | None]:
    """For each dilation of `new` the index in `old` of its n-th occurrence there; None if there is none."""
    where: dict[int, list[int]] = {}
    for j, dilation in enumerate(old):
        where.setdefault(dilation, []).append(j)
    return [where[d].pop(0) if where.get(d) else None for d in new]
