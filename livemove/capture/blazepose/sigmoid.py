"""The logistic function, for logits of any size."""

from __future__ import annotations

import numpy as np

from livemove.contracts import Float32

_END = np.float32(80.0)
"""float32 ends at exp(88); what is left out is 1e-35."""


def sigmoid(logits: Float32) -> Float32:
    """1 / (1 + exp(-x)) of float32 of any shape, in 0..1."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -_END, _END))), np.float32)
