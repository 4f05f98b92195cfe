"""Reading what train.py has written: a checkpoint's spec, arguments and weights.

In: paths. Out: plain dictionaries, ModelSpec and Weights; loaded weights-only, so that nothing in a file runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from livemove.bundle import load_bundle
from livemove.contracts import ModelSpec, Weights, weight_shapes
from training.loop.recipe import RecipeError
from training.model.transfer import spec_of
from training.model.wavenet import key


def open_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of this file's making. Raises RecipeError."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        return {**saved, "spec": saved["spec"], "arguments": saved["arguments"]}
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # a truncated zip, a pickle of something else: torch raises all kinds
        raise RecipeError(f"{path}: not a checkpoint of training/train.py ({type(error).__name__})") from error


def pretrained(given: Path) -> tuple[ModelSpec, Weights]:
    """Spec and weights of a checkpoint, as the optimiser left them, or of a bundle by folder or name. Raises
    RecipeError, BundleError."""
    if not given.is_file() and (given.is_dir() or not given.suffix):
        bundle = load_bundle(given)
        return bundle.spec, bundle.weights
    saved = open_checkpoint(given)
    spec, state = spec_of(saved["spec"]), saved.get("current_model_state", saved["state_dict"])
    return spec, {name: state[f"model.{key(name)}"].numpy() for name in weight_shapes(spec)}
