"""Import this before anything else that imports Triton: without a GPU its kernels are interpreted in this process.

Triton decides at its import, by an environment variable, which is gone afterwards: the tests of these kernels are to
interpret, no others and no child of theirs. The kernels' source is the same in both.
"""

from __future__ import annotations

import os
import sys

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
    assert "triton" not in sys.modules, "something imports triton before this: it decides then if it interprets"
DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"

import livemove.synthesis.cuda  # noqa: E402, F401

os.environ.pop("TRITON_INTERPRET", None)
