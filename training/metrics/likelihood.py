"""How well a model expects the sound that comes: negative log likelihood in bits, beside a baseline that is no network.

In: a spec, its weights, clips as training sees them. Out: bits per value, by band. Teacher-forced, in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from livemove.contracts import Float64, ModelSpec, Weights
from training.model.wavenet import WaveNet, nats

BITS = 1 / math.log(2)


def bits(spec: ModelSpec, weights: Weights, clips: Sequence[Mapping[str, np.ndarray]]) -> dict[str, object]:
    """{"nll_bits": per value, "nll_bits_baseline", "nll_bits_by_band": [bands], "nll_bits_by_band_baseline": [bands]}.

    clips: as data/feed.py gives them: channels [hops, C] normalised, hz [hops], cycles [steps], bands [steps, bands]
    (mulaw: class indices), style (0 if missing). With the logistic head values are continuous and scaled by
    bands.scale, so bits are those of a density, and may be negative; only differences mean something. Baseline:
    logistic head, the best linear prediction of each band from its own last two values, with logistic residuals;
    mulaw, the classes' own frequencies.
    """
    network = WaveNet(spec)
    network.load_weights(weights)
    scale = torch.from_numpy(weights["bands.scale"])
    model: list[Tensor] = []
    values: list[Tensor] = []
    with torch.no_grad():
        for clip in clips:
            value = torch.from_numpy(clip["bands"])[None]
            value = value if spec.head == "mulaw" else value / scale
            channels, hz, cycles = (torch.from_numpy(clip[name])[None] for name in ("channels", "hz", "cycles"))
            style = torch.tensor([int(clip.get("style", 0))])
            found, _ = network(value, channels, hz, cycles, style)
            model.append(nats(spec, found, value)[0])
            values.append(value[0])
    of_model = torch.cat(model).double().mean(0).numpy() * BITS
    of_baseline = (marginal if spec.head == "mulaw" else predicted)(values) * BITS
    return {
        "nll_bits": float(of_model.mean()),
        "nll_bits_baseline": float(of_baseline.mean()),
        "nll_bits_by_band": of_model.tolist(),
        "nll_bits_by_band_baseline": of_baseline.tolist(),
    }


def marginal(values: Sequence[Tensor]) -> Float64:
    """Nats per value [1] of drawing each class as often as it occurs."""
    share = torch.bincount(torch.cat(values).flatten()).double()
    share = share[share > 0] / share.sum()
    return np.array([float(-(share * share.log()).sum())])


def predicted(values: Sequence[Tensor]) -> Float64:
    """Nats per value [bands] of the best linear prediction from the two before, residuals logistic, best scale."""
    past = torch.cat([torch.stack([F.pad(v, (0, 0, d, 0))[:-d] for d in (1, 2)], -1) for v in values]).double()
    now = torch.cat(list(values)).double()
    result = np.empty(now.shape[1])
    for band in range(now.shape[1]):
        x, y = past[:, band], now[:, band]
        residual = y - x @ torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
        scales = torch.logspace(-6, 0, 121, dtype=torch.float64)[:, None] * residual.std().clamp(min=1e-9) * 2
        z = residual / scales
        result[band] = float((z + scales.log() + 2 * F.softplus(-z)).mean(1).min())
    return result


def ignoring(metrics: Mapping[str, Any]) -> str | None:
    """The line that says so, of a validation that did no better by each clip's channels than by another clip's."""
    if not {"val_loss", "val_loss_shuffled"} <= metrics.keys():
        return None
    own, other = float(metrics["val_loss"]), float(metrics["val_loss_shuffled"])
    if other > own:
        return None
    return (
        "it ignores its channels so far: held-out clips are expected as well by another clip's channels "
        f"(val_loss_shuffled {other:.4f}, val_loss {own:.4f}); train longer, or on more"
    )
