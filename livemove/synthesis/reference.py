"""The reference engine: one WaveNet step at a time in NumPy, as the papers write it. Slow; the oracle for all others.

Le Paine et al. 2016 (fast generation with queues), van den Oord et al. 2016 (the network).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from livemove.contracts import HOP, EngineState, Float32, ModelSpec, Trace, Weights, initial_state
from livemove.synthesis import conditioning, harmonic_path, pqmf, sampling


def sigmoid(x: Float32) -> Float32:
    with np.errstate(over="ignore"):  # exp of a large number is infinite, and its share 0, as it should be
        return np.float32(1) / (np.float32(1) + np.exp(-x))


class ReferenceEngine:
    """Implements contracts.Engine; every line of `_step` is a line of `contracts.weight_shapes`."""

    name = "reference"

    def __init__(self, spec: ModelSpec, weights: Weights) -> None:
        self.spec = spec
        self.weights = {name: np.asarray(w, np.float32) for name, w in weights.items()}
        self.reset()

    def reset(self) -> None:
        self.set_state(initial_state(self.spec))

    def state(self) -> EngineState:
        s = self._state
        queues = np.concatenate(self._queues) if self._queues else s.queues
        return EngineState(s.inputs.copy(), queues.copy(), s.overlap.copy(), s.phase.copy(), s.amplitudes.copy())

    def set_state(self, state: EngineState) -> None:
        self._state = EngineState(
            state.inputs.copy(),
            state.queues.copy(),
            state.overlap.copy(),
            state.phase.copy(),
            state.amplitudes.copy(),
        )
        edges = np.cumsum((0, *self.spec.dilations))
        self._queues = [state.queues[a:b].copy() for a, b in pairwise(edges)]

    def generate(
        self,
        out: Float32,
        channels: Float32,
        noise: Float32,
        *,
        style: int | Float32 = 0,
        temperature: float = 1.0,
        trace: Trace | None = None,
        forced: Float32 | None = None,
    ) -> None:
        """contracts.Engine.generate; forced [steps, bands]: values to continue from instead of the drawn ones."""
        spec, steps = self.spec, self.spec.steps_per_hop
        for hop in range(len(channels)):
            embedded = conditioning.embed(spec, self.weights, channels[hop], style)
            phases, harmonics = self._phases(channels[hop], embedded, style)
            values = np.empty((steps, spec.bands), np.float32)
            for step in range(steps):
                at = hop * steps + step
                parameters = self._step(embedded, phases[step], harmonics[step])
                values[step] = sampling.sample(spec, parameters, noise[at], temperature)
                if trace:
                    trace.parameters[at] = parameters
                    trace.values[at] = values[step]
                if forced is not None:
                    values[step] = forced[at]
                self._state.inputs[0] = self._state.inputs[1]
                self._state.inputs[1] = values[step] - harmonics[step]
            out[hop * HOP : (hop + 1) * HOP] = self._audio(values, conditioning.gate(spec, channels[hop]))

    def _phases(self, channels: Float32, embedded: Float32, style: int | Float32) -> tuple[Float32, Float32]:
        """Of one hop: phase features [steps, 2K] at the input, and the harmonic path's means [steps, bands]."""
        spec, steps = self.spec, self.spec.steps_per_hop
        silent = np.zeros((steps, spec.bands), np.float32)
        if spec.phase is None:
            return np.zeros((steps, 0), np.float32), silent
        hz = conditioning.pitch_hz(spec, channels)
        cycles = conditioning.advance_phase(spec, float(self._state.phase[0]), float(hz), steps)
        self._state.phase[0] = cycles[-1] % 1.0
        phases = conditioning.phase_features(spec, np.full(steps, hz), cycles)
        if spec.harmonic_path is None:
            return phases, silent
        features = conditioning.phase_features(spec, np.full(steps, hz), cycles, spec.harmonic_path.harmonics)
        before = self._state.amplitudes
        self._state.amplitudes = harmonic_path.amplitudes(spec, self.weights, channels, embedded, style)
        return phases, harmonic_path.means(spec, self.weights, float(hz), features, before, self._state.amplitudes)

    def _step(self, embedded: Float32, phase: Float32, harmonics: Float32) -> Float32:
        """Distribution parameters [spec.parameters] of the next step; advances the queues."""
        spec, w, r = self.spec, self.weights, self.spec.residual
        h = w["input.bias"].copy()
        for tap in range(2):
            x, weight = self._state.inputs[tap], w["input.weight"][tap]
            h += weight[int(x[0])] if spec.head == "mulaw" else x @ weight
        if spec.phase:
            h += phase @ w["input.phase"]
        if spec.harmonic_path:
            h += harmonics @ w["input.harmonics"]
        skip = w["skip.bias"].copy()
        for layer in range(spec.layers):
            past, self._queues[layer] = self._queues[layer][0], np.concatenate([self._queues[layer][1:], h[None]])
            z = past @ w["layers.past"][layer] + h @ w["layers.now"][layer]
            z += embedded @ w["layers.condition"][layer] + w["layers.bias"][layer]
            g = np.tanh(z[:r]) * sigmoid(z[r:])
            skip += g @ w["layers.skip"][layer]
            if layer < spec.layers - 1:
                h = h + g @ w["layers.residual"][layer] + w["layers.residual_bias"][layer]
        hidden = np.maximum(np.maximum(skip, 0) @ w["head.weight_1"] + w["head.bias_1"], 0)
        parameters = hidden @ w["head.weight_2"] + w["head.bias_2"]
        if spec.harmonic_path:
            parameters.reshape(spec.bands, 3, spec.mixtures)[:, 1] += harmonics[:, None]
        return parameters

    def _audio(self, values: Float32, gate: Float32) -> Float32:
        """One hop of audio from its network values [steps, bands]."""
        spec = self.spec
        if spec.head == "mulaw":
            return sampling.mulaw_decode(values[:, 0], spec.classes) * gate
        values = values * gate
        if spec.bands == 1:
            return values[:, 0] * self.weights["bands.scale"]
        scale = self.weights["bands.scale"]
        overlap = self._state.overlap
        audio = pqmf.synthesis(overlap * scale, values * scale, spec.bands, spec.pqmf_taps)
        self._state.overlap = np.concatenate([overlap, values])[-len(overlap) :]
        return audio
