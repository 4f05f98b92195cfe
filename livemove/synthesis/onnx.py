"""The onnx engine: generator.onnx in ONNX Runtime, one unrolled chunk of steps per run, state bound in place.

Channels and noise in, audio out; runs wherever onnxruntime does. The only file that imports onnxruntime. Knows nothing
of weights: they are in the graph that training/model/onnx_graph.py wrote.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it tells Microsoft what runs, and keeps a number for this machine
import onnxruntime as ort  # reads that when it is loaded

from livemove.bundle import LIMIT_BYTES, ONNX, read_part
from livemove.contracts import (
    FORMAT_VERSION,
    HOP,
    BundleError,
    EngineError,
    EngineState,
    Float32,
    ModelSpec,
    Trace,
    initial_state,
)
from livemove.synthesis import conditioning
from livemove.synthesis.onnx_trust import check_graph
from livemove.synthesis.synthesis_config import PROVIDERS

ort.disable_telemetry_events()  # Windows' own tracing does not read the variable

SHARES_PACKED_WEIGHTS = (1, 22)
"""From this version on the unrolled nodes share one packed copy of their weights. Before it every node packs its own:
tens of megabytes that are read once a hop, and 1.20 is 25 % slower so than with packing off."""

WARM_UP_HOPS = 4
"""The first runs allocate and fault pages in: a hop then takes several times its usual time."""


def available_providers() -> list[str]:
    """Names from PROVIDERS that this onnxruntime offers."""
    offered = ort.get_available_providers()
    return [name for name, provider in PROVIDERS.items() if provider in offered]


class OnnxEngine:
    """Implements contracts.Engine. One thread; buffers take turns as input and output: no state is ever copied."""

    name = "onnx"

    def __init__(self, spec: ModelSpec, model: Path | bytes, provider: str = "cpu") -> None:
        """model: path of a generator.onnx, or its content. Raises EngineError if it or the provider cannot be used."""
        self.spec = spec
        self.provider = provider
        source = "generator.onnx" if isinstance(model, bytes) else str(model)
        # As bytes: what was checked is what is loaded, and no tensor is looked for in the folder around it.
        content = model if isinstance(model, bytes) else _content(model)
        check_graph(content, source)
        self._session = _session(content, source, provider)
        self._steps, self._delays = _steps_and_delays(self._session, spec, source)
        # A graph of format 1 takes a style's index, not weights.
        self._by_index = any(i.name == "style" and i.type == "tensor(int64)" for i in self._session.get_inputs())
        self._device = "cuda" if provider == "cuda" else "cpu"

        start = initial_state(spec)
        state: dict[str, Any] = {"inputs": start.inputs}
        if len(self._delays) < spec.layers:
            state["queues"] = np.concatenate(_split(spec, start.queues, self._delays)[0])
        if spec.bands > 1:
            state["overlap"] = start.overlap
        if spec.phase:
            state["phase"] = start.phase
        if spec.harmonic_path:
            state["amplitudes"] = start.amplitudes
        self._states = [{name: self._value(array) for name, array in state.items()} for _ in range(2)]
        # Delayed layers: the last blocks of each in a ring, where a run reads one and writes another. So many bindings
        # take turns; an even number, for of the rest of the state there are two.
        self._turns = 2 * (max(self._delays.values(), default=1) // 2 + 1)
        block = np.zeros((self._steps, spec.residual), np.float32)
        self._blocks = {layer: [self._value(block) for _ in range(self._turns)] for layer in self._delays}
        self._now = 0
        self._inputs = {
            "channels": self._value(np.array([c.rest for c in spec.channels], np.float32)),
            "style": self._value(np.array(0, np.int64) if self._by_index else conditioning.style_weights(spec, 0)),
            "temperature": self._value(np.array(spec.temperature, np.float32)),
            "noise": self._value(np.zeros((self._steps, spec.noise_width), np.float32)),
        }
        self._outputs = {
            "audio": np.empty(self._steps * spec.bands, np.float32),
            "values": np.empty((self._steps, spec.bands), np.float32),
            "parameters": np.empty((self._steps, spec.parameters), np.float32),
        }
        self._bindings = [self._session.io_binding() for _ in range(self._turns)]
        for now in range(self._turns):
            self._bind_inputs(now)
            self._bind_outputs(now)
        self._warm_up()

    def reset(self) -> None:
        self.set_state(initial_state(self.spec))

    def state(self) -> EngineState:
        state = {name: np.array(value.numpy()) for name, value in self._states[self._now % 2].items()}
        start = initial_state(self.spec)
        rest, queues = state.get("queues", start.queues), list[Float32]()
        for layer, d in enumerate(self.spec.dilations):
            if layer in self._delays:
                queues += [np.array(block.numpy()) for block in self._recent(layer)]
            else:
                queues.append(rest[:d])
                rest = rest[d:]
        return EngineState(
            inputs=state["inputs"],
            queues=np.concatenate(queues),
            overlap=state.get("overlap", start.overlap),
            phase=state.get("phase", start.phase),
            amplitudes=state.get("amplitudes", start.amplitudes),
        )

    def set_state(self, state: EngineState) -> None:
        short, delayed = _split(self.spec, state.queues, self._delays)
        arrays = {
            "inputs": state.inputs,
            "overlap": state.overlap,
            "phase": state.phase,
            "amplitudes": state.amplitudes,
        }
        if short:
            arrays["queues"] = np.concatenate(short)
        for name, value in self._states[self._now % 2].items():
            value.update_inplace(np.ascontiguousarray(arrays[name]))
        for layer, queue in delayed.items():
            for value, block in zip(self._recent(layer), np.split(queue, self._delays[layer]), strict=True):
                value.update_inplace(np.ascontiguousarray(block))

    def generate(
        self,
        out: Float32,
        channels: Float32,
        noise: Float32,
        *,
        style: int | Float32 = 0,
        temperature: float = 1.0,
        trace: Trace | None = None,
    ) -> None:
        steps, bands = self._steps, self.spec.bands
        weights = conditioning.style_weights(self.spec, style)
        self._inputs["style"].update_inplace(np.array(weights.argmax(), np.int64) if self._by_index else weights)
        self._inputs["temperature"].update_inplace(np.array(temperature, np.float32))
        for hop in range(len(channels)):
            self._inputs["channels"].update_inplace(channels[hop])
            for at in range(hop * self.spec.steps_per_hop, (hop + 1) * self.spec.steps_per_hop, steps):
                self._inputs["noise"].update_inplace(noise[at : at + steps])
                self._run()
                out[at * bands : (at + steps) * bands] = self._outputs["audio"]
                if trace:
                    trace.values[at : at + steps] = self._outputs["values"]
                    trace.parameters[at : at + steps] = self._outputs["parameters"]

    def _run(self) -> None:
        if self.provider != "cpu":
            # onnxruntime moves an input to where its first node runs when it is bound, not when it is used
            self._bind_inputs(self._now)
        self._session.run_with_iobinding(self._bindings[self._now])
        self._now = (self._now + 1) % self._turns

    def _recent(self, layer: int) -> list[Any]:
        """What a delayed layer looked at in its last runs, oldest first: its queue."""
        return [self._blocks[layer][(self._now - ago) % self._turns] for ago in range(self._delays[layer], 0, -1)]

    def _value(self, array: Any) -> Any:
        return ort.OrtValue.ortvalue_from_numpy(array.copy(), self._device, 0)

    def _bind_inputs(self, now: int) -> None:
        past = {f"past_{layer}": self._blocks[layer][now - runs] for layer, runs in self._delays.items()}
        for name, value in {**self._inputs, **self._states[now % 2], **past}.items():
            self._bindings[now].bind_ortvalue_input(name, value)

    def _bind_outputs(self, now: int) -> None:
        for name, array in self._outputs.items():
            self._bindings[now].bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        past = {f"past_{layer}": blocks[now] for layer, blocks in self._blocks.items()}
        for name, value in {**self._states[1 - now % 2], **past}.items():
            self._bindings[now].bind_ortvalue_output(f"{name}_out", value)

    def _warm_up(self) -> None:
        rest = np.tile(np.array([c.rest for c in self.spec.channels], np.float32), (WARM_UP_HOPS, 1))
        noise = np.full((WARM_UP_HOPS * self.spec.steps_per_hop, self.spec.noise_width), 0.5, np.float32)
        self.generate(np.empty(WARM_UP_HOPS * HOP, np.float32), rest, noise, temperature=self.spec.temperature)
        self.reset()


def _content(path: Path) -> bytes:
    try:
        return read_part(path, LIMIT_BYTES[ONNX])
    except BundleError as error:
        raise EngineError(f"onnx: {error}") from error


def _session(content: bytes, source: str, provider: str) -> ort.InferenceSession:
    if provider not in PROVIDERS:
        raise EngineError(f"onnx: no provider called {provider!r}; there are {', '.join(PROVIDERS)}")
    if provider not in available_providers():
        here = ", ".join(available_providers())
        raise EngineError(
            f"onnx: this onnxruntime {ort.__version__} has no {provider} provider, only {here}; "
            "install the onnxruntime build that has it, or use --provider cpu"
        )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if tuple(int(part) for part in ort.__version__.split(".")[:2]) < SHARES_PACKED_WEIGHTS:
        options.add_session_config_entry("session.disable_prepacking", "1")
    # One chunk needs little memory; giving every value its own place saves the release of each, 4 % of the time.
    options.enable_mem_reuse = provider != "cpu"
    if provider == "directml":
        options.enable_mem_pattern = False  # DirectML refuses memory patterns
    try:
        session = ort.InferenceSession(
            content,
            options,
            providers=list(dict.fromkeys((PROVIDERS[provider], PROVIDERS["cpu"]))),
        )
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        first_line = str(error).strip().splitlines()[0]
        raise EngineError(
            f"{source}: onnxruntime {ort.__version__} cannot load it ({first_line}); export it again"
        ) from error
    if PROVIDERS[provider] not in session.get_providers():
        raise EngineError(
            f"onnx: the {provider} provider did not start (driver or library missing); use --provider cpu"
        )
    return session


def _split(spec: ModelSpec, queues: Float32, delays: dict[int, int]) -> tuple[list[Float32], dict[int, Float32]]:
    """The queues that go through the graph, in order, and by layer those of delayed layers."""
    parts = np.split(queues, np.cumsum(spec.dilations)[:-1])
    return [q for layer, q in enumerate(parts) if layer not in delays], {layer: parts[layer] for layer in delays}


def _steps_and_delays(session: ort.InferenceSession, spec: ModelSpec, source: str) -> tuple[int, dict[int, int]]:
    """Steps per run, and by layer how many runs it looks back if its queue stays outside. Raises EngineError unless the
    graph was made for this spec."""
    entry = session.get_modelmeta().custom_metadata_map.get("livemove")
    if entry is None:
        raise EngineError(f"{source}: not written by training/export.py (no livemove metadata); export it again")
    try:
        about: dict[str, Any] = dict(json.loads(entry))
        version, steps = int(about["format"]), int(about["steps"])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EngineError(f"{source}: its livemove metadata is damaged ({error}); export it again") from error
    if version > FORMAT_VERSION:
        raise EngineError(
            f"{source}: format {version} is newer than this livemove reads ({FORMAT_VERSION}); update livemove"
        )
    if not 0 < steps <= spec.steps_per_hop or spec.steps_per_hop % steps:
        raise EngineError(f"{source}: {steps} steps a run do not divide a hop of {spec.steps_per_hop}; export it again")
    shapes = {value.name: value.shape for value in session.get_inputs()}
    delays = {layer: d // steps for layer, d in enumerate(spec.dilations) if f"past_{layer}" in shapes}
    short = sum(d for layer, d in enumerate(spec.dilations) if layer not in delays)
    expected = {
        "channels": [len(spec.channels)],
        "noise": [steps, spec.noise_width],
        "inputs": [2, spec.bands],
        **({"queues": [short, spec.residual]} if short else {}),
        **{f"past_{layer}": [steps, spec.residual] for layer in delays},
    }
    for name, shape in expected.items():
        if shapes.get(name) != shape:
            raise EngineError(
                f"{source}: input {name} is {shapes.get(name)}, model.json says {shape}; export both again"
            )
    said = about.get("delays", {})  # nothing in a graph older than this, which takes all its queues in one input
    if said != {f"past_{layer}": runs for layer, runs in delays.items()}:
        raise EngineError(f"{source}: its layers look back {said} runs, not as model.json says; export both again")
    return steps, delays
