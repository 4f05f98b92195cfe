"""What is minimised beside the likelihood: what a harmonic path leaves, and how hits begin.

In: a batch's band values and what the network makes of them. Out: scalars. Knows no optimiser and no flags.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from livemove.contracts import ModelSpec
from training.data import dance_score, percussion
from training.model.wavenet import WaveNet, nats

SILENT_BAND = 1e-4
"""Mean square of a band, in network values, below which it counts less and less in `path_loss`."""

ONSETS = {percussion.UNIT: range(4), dance_score.UNIT: range(dance_score.DELAY_HOPS, dance_score.DELAY_HOPS + 4)}
"""By the unit of a channel: hops after its rise in which what it strikes begins, 21 ms."""
ONSET_FLOOR = -5.0
"""Log scale in network values, full scale 1: 44 dB below a band's loudest, what is heard of an attack."""
FLOOR_OF_PAST = -7.0
"""The same where the past is the network's own, which is seldom within a fine scale of what was recorded."""


def path_loss(values: Tensor, harmonics: Tensor) -> Tensor:
    """Share of the bands' power that the harmonic path leaves, mean over clips and bands; silent bands count less.

    values, harmonics [clips, steps, bands] in network values. Without it the network would make the tone by itself.
    """
    left = (values - harmonics).square().mean(1)
    return (left / (values.square().mean(1) + SILENT_BAND)).mean()


def onset_hops(spec: ModelSpec) -> dict[int, range]:
    """Channels that strike, and in which hops after they rise it is heard; most models have none."""
    if spec.head != "logistic":
        return {}
    return {i: ONSETS[channel.unit] for i, channel in enumerate(spec.channels) if channel.unit in ONSETS}


def onset_loss(network: WaveNet, parameters: Tensor, batch: dict[str, Tensor], onsets: dict[int, range]) -> Tensor:
    """Nats per value while something struck begins (`onset_hops`), no scale being finer than ONSET_FLOOR; 0 if nothing.

    The likelihood of everything is decided where sound is soft and scales are small: there a value counts a thousand
    times as much as in an attack, which is over before a network has learnt it, or who struck it.
    """
    share = inside_onsets(batch["channels"], onsets).repeat_interleave(network.spec.steps_per_hop, 1)[..., None]
    each = nats(network.spec, parameters.float(), batch["bands"] / network.weight("bands.scale"), ONSET_FLOOR)
    return (share * each).sum() / (share.sum() * each.shape[-1]).clamp(min=1.0)


def inside_onsets(channels: Tensor, onsets: dict[int, range]) -> Tensor:
    """0 or 1 [clips, hops]: whether something struck begins there; channels [clips, hops, C]."""
    inside = torch.zeros_like(channels[..., 0])
    for channel, hops in onsets.items():
        rises = (channels[..., channel].diff(dim=1, prepend=channels[:, :1, channel]) > 0.0).float()
        for hop in hops:
            inside = torch.maximum(inside, F.pad(rises, (hop, 0))[:, : rises.shape[1]])
    return inside
