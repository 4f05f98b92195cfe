"""The models of this machine as the command line means them: described, with a style picked, gathered to be measured.

In: names and paths as typed. Out: plain values, or a LivemoveError. Must not know the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from livemove.bundle import list_bundles, load_bundle
from livemove.cli.layers import for_dancers, read_layers
from livemove.contracts import BundleError, ControlError, Controls, EngineError, LivemoveError, weight_shapes
from livemove.control.presets import Preset
from livemove.control.styles import Chosen, read_styles
from livemove.diagnostics import bench_models
from livemove.synthesis.engines import APPROXIMATE, UntrueEngineError, choose_engine, engine_names
from livemove.synthesis.synthesis_config import Layer, levels


def describe(path: Path) -> dict[str, object]:
    """One model as `livemove models --json` lists it; of one that cannot be loaded, "error" says why."""
    try:
        bundle = load_bundle(path)
    except BundleError as error:
        return {"name": path.name, "folder": str(path), "error": str(error)}
    spec = bundle.spec
    return {
        "name": path.name,
        "folder": str(path),
        "error": None,
        "sample_rate": spec.sample_rate,
        "bands": spec.bands,
        "head": spec.head,
        "parameters": sum(w.size for w in bundle.weights.values()),
        "receptive_field_s": spec.receptive_field / spec.step_rate,
        "channels": list(spec.channel_names),
        "styles": list(spec.styles),
        "onnx": bundle.onnx_path is not None,
    }


def check(path: Path) -> list[dict[str, object]]:
    """One model on every engine: {"model", "engine", "state", "detail"} each.

    state: "true" (it reproduces the golden vector), "broken" (it does not, or the files are damaged), "coarse" (it does
    not because its weights are rounded further: this model needs them finer, and never plays on it), or "absent" (that
    engine is not on this machine, or the model has no graph for it).
    """
    try:
        bundle = load_bundle(path)
    except BundleError as error:
        return [{"model": path.name, "engine": "", "state": "broken", "detail": str(error)}]
    rows: list[dict[str, object]] = []
    for name in engine_names():
        if name == "auto":
            continue
        try:
            state, detail = "true", f"{choose_engine(name, bundle).realtime:.1f}x real time"
        except UntrueEngineError as error:
            state, detail = "coarse" if name in APPROXIMATE else "broken", str(error)
        except EngineError as error:
            state, detail = "absent", str(error)
        rows.append({"model": path.name, "engine": name, "state": state, "detail": detail})
    return rows


def ignoring(models: Sequence[Path]) -> list[str]:
    """A line for each model whose bundle says that it ignores its channels, so that nobody looks for the fault in the
    camera. Raises BundleError."""
    bundles = [load_bundle(path) for path in dict.fromkeys(models)]
    return [
        f"{b.path.name} ignores its channels: by its own measurement it does not follow whoever plays it; train it "
        "longer, or on more"
        for b in bundles
        if b.ignores_channels
    ]


def chosen_styles(style: str | None, model: Path) -> Chosen:
    """What --style says, None for the first. Raises LivemoveError that lists the model's styles."""
    if style is None:
        return 0, ()
    try:
        return read_styles(style, load_bundle(model).spec.styles)
    except ControlError as error:
        raise LivemoveError(f"--style {style}: {model.name}: {error}") from error


def model_name(folder: Path) -> str:
    """What `find_bundle` finds that folder by, the shorter the better."""
    return folder.name if folder in list_bundles() else str(folder.resolve())


def stacks_of_presets(
    presets: Sequence[Preset], tell: Callable[[str], None], dancers: int = 1
) -> tuple[list[tuple[Layer, ...]], tuple[Controls, ...]]:
    """All layers the presets need, each stack of them once, and what each preset sets; tell: as `read_layers` has it.

    Presets that differ only in gain and pan share a stack. Raises LivemoveError.
    """
    loaded: list[tuple[Layer, ...]] = []
    controls: list[Controls] = []
    for preset in presets:
        try:
            read = read_layers(preset.model, tell, Path(preset.mapping) if preset.mapping else None)
            layers = for_dancers(read, dancers)
            style, weights = chosen_styles(preset.style or None, layers[0].model)
        except BundleError:
            raise
        except LivemoveError as error:
            raise LivemoveError(f"preset {preset.name}: {error}") from error
        stack = tuple(replace(layer, gain_db=0.0, pan=0.0) for layer in layers)
        if stack not in loaded:
            loaded.append(stack)
        set_to = preset.controls(loaded.index(stack), style, weights)
        controls.append(replace(set_to, **levels(layers)))
    return loaded, tuple(controls)


def models_to_measure(names: Sequence[str], everyone: bool = False) -> list[bench_models.Model]:
    """The models of these names, or all that `livemove models` lists; else the two architectures with random weights.

    The architectures borrow the graph of an installed model of their size: for speed, any weights will do.
    """
    if names or everyone:
        bundles = [load_bundle(found) for found in (names or list_bundles())]
        return [bench_models.Model(b.path.name, b.spec, b.weights, b.onnx_path, bundle=b) for b in bundles]
    graphs: dict[str, Path] = {}
    for bundle in map(load_bundle, list_bundles()):
        for architecture, make in bench_models.ARCHITECTURES.items():
            if bundle.onnx_path and weight_shapes(bundle.spec) == weight_shapes(make()):
                graphs[architecture] = bundle.onnx_path
    return bench_models.random_models(graphs)
