"""The running phase of recorded, pitched sound, from its own harmonics; pitch as that phase's derivative.

In: mono audio at any rate and a tracked pitch per hop. Out: the phase in cycles at every hop's start, the pitch whose
integral retraces it hop by hop, and which hops are voiced. NumPy/SciPy on arrays; knows no file and no network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, signal

from livemove.contracts import HOP, Float32, Float64

HARMONICS = 24
"""How many harmonics correct the frequency: the higher ones tell it best, |a|^2 k^2 weighs them."""
PASSES = ((3, 8), (3, 8, HARMONICS))
"""Per analysis: up to which harmonic each correction looks; from coarse to fine, so that no high harmonic's phase step
is taken for its neighbour 2 pi away. The second analysis follows the glides that the first one found."""
WINDOW_S, PERIODS = 0.030, 3
"""A Hann window of so many seconds, but never of fewer periods."""
FILTERED = 1 << 20
"""Samples filtered at a time."""
TOP_HZ = 7000.0
"""Harmonics above are not looked at."""
ANCHOR_S = 0.12
"""The fundamental's own phase, averaged over so long, is the phase's zero."""
FAINT = 1e-3
"""A fundamental with less than this share of the harmonics' power is missing: the strongest harmonic anchors then."""
SHORTEST = 6
"""Voiced stretches of fewer hops say nothing about phase."""
BEND = 0.06
"""By how much of itself the tracked frequency is corrected at most, per pass."""
STEEPEST = 30.0
"""Octaves per second: glides are followed inside a window up to this."""


@dataclass(frozen=True)
class RunningPhase:
    """cycles float64 [hops + 1]: not wrapped, at the hops' boundaries; a fundamental is cos(2 pi cycles).

    note float64 [hops]: MIDI note, constant inside each hop; its frequency integrates to exactly those cycles.
    voiced bool [hops]: where the sound says so. Elsewhere the note is the held pitch, bent so that the phase arrives
    where the next voiced stretch begins.
    """

    cycles: Float64
    note: Float64
    voiced: np.ndarray

    @property
    def at_hops(self) -> Float32:
        """float32 [hops], 0..1: the phase at each hop's start, as the corpus stores it."""
        return np.mod(self.cycles[:-1], 1.0).astype(np.float32) % np.float32(1)


def recover(audio: Float32 | Float64, rate: int, pitch: Float64, harmonics: int = HARMONICS) -> RunningPhase:
    """The running phase of audio [samples] whose tracked pitch [hops] is a MIDI note per hop, NaN where there is none.

    Each harmonic is demodulated by its multiple of the tracked phase, a window of constant periods at a time (one FFT
    of a window warped to its own pitch holds all of them); the harmonics' phase steps from hop to hop, weighted
    |a|^2 k^2, correct the frequency; the fundamental's own phase anchors it. Error of a clean tone: under 0.001 cycles.
    """
    hops = len(pitch)
    voiced = _without_short(~np.isnan(pitch), SHORTEST)
    stretches = _runs(~_without_short(~voiced, SHORTEST, True))  # the phase is followed through short dropouts
    held = hold(np.where(voiced, pitch, np.nan), 69.0)
    cycles = np.concatenate([[0.0], np.cumsum(hz(held))]) * (HOP / rate)
    if not stretches:
        return RunningPhase(cycles, held, voiced)
    sound = _band_limited(audio, rate)
    for number, passes in enumerate(PASSES):
        shift = np.zeros(hops + 1)
        at = np.concatenate([np.arange(first, last + 1) for first, last in stretches])
        tone = _harmonics(sound, rate, cycles, at, min(max(passes), harmonics))
        begin = 0
        for first, last in stretches:
            part = tone[begin : begin + last + 1 - first]
            begin += last + 1 - first
            here = slice(first, last + 1)
            shift[here] = _corrected(part, cycles[here], [min(k, harmonics) for k in passes])
            if number == len(PASSES) - 1:
                shift[here] += _anchor(part, shift[here], np.diff(cycles[here]), rate)
        cycles = _joined(cycles + shift, cycles, stretches)
    note = 69 + 12 * np.log2(np.diff(cycles) * (rate / HOP) / 440.0)
    return RunningPhase(cycles, note, voiced)


def hz(note: Float64 | Float32) -> Float64:
    """Frequency of MIDI notes, A4 at 440."""
    return 440.0 * 2.0 ** ((np.asarray(note, np.float64) - 69.0) / 12.0)


def integrate(note: Float64 | Float32, rate: int, start: float = 0.0) -> Float64:
    """Cycles [hops + 1] at the boundaries of hops whose pitch [hops] is constant inside, as engines integrate it."""
    return start + np.concatenate([[0.0], np.cumsum(hz(note))]) * (HOP / rate)


def hold(values: Float64, rest: float) -> Float64:
    """values [n] with the last known one through NaN, the first known one before it, rest if there is none."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return np.full(len(values), rest)
    return values[known[np.maximum(np.searchsorted(known, np.arange(len(values)), "right") - 1, 0)]]


# --- the harmonics ------------------------------------------------------------------------------------------


def _band_limited(audio: Float32 | Float64, rate: int) -> Float64:
    """What lies above the harmonics that are looked at would fold down when a window is warped.

    A block at a time: of minutes, one transform would take many times their own memory.
    """
    if rate <= 2.4 * TOP_HZ:
        return np.asarray(audio, np.float64)
    taps = signal.firwin(129, 1.15 * TOP_HZ, fs=rate)
    reach = len(taps) // 2
    out = np.empty(len(audio))
    for first in range(0, len(audio), FILTERED):
        last = min(first + FILTERED, len(audio))
        begin = max(first - reach, 0)
        part = np.asarray(audio[begin : last + reach], np.float64)
        out[first:last] = signal.oaconvolve(part, taps, mode="same")[first - begin :][: last - first]
    return out


def _harmonics(sound: Float64, rate: int, cycles: Float64, at: np.ndarray, count: int) -> np.ndarray:
    """complex [len(at), count]: amplitude of harmonics 1.. at hop boundaries `at`, demodulated by the running phase.

    Windows are warped to their own pitch: time as a function of phase, by its frequency and its slope at the boundary.
    """
    step = HOP / rate
    f = np.gradient(cycles) / step
    slope = np.clip(signal.convolve(np.gradient(f) / step, np.ones(5) / 5, "same"), -STEEPEST * f, STEEPEST * f)
    f, slope = f[at], slope[at]
    periods = np.maximum(np.round(WINDOW_S * f), PERIODS).astype(int)
    size = 512 if (f.min() > 110 or rate < 17000) else 1024
    u = np.arange(size) / size - 0.5
    weight = np.hanning(size + 1)[:-1]
    weight *= 2 / weight.sum()
    tone = np.zeros((len(at), count), complex)
    k = np.arange(1, count + 1)
    for begin in range(0, len(at), 1024):
        here = slice(begin, begin + 1024)
        m, fh = periods[here, None], f[here, None]
        turns = m * u
        bend = slope[here, None] / fh**2 * turns
        place = at[here, None] * HOP + turns / fh * (1 - bend / 2 + bend**2 / 2) * rate
        frames = _interpolated(sound, place)
        frames *= weight
        spectrum = fft.rfft(frames, axis=1)
        bins = m * k
        live = (bins < size // 2) & (fh * k < TOP_HZ)
        found = np.take_along_axis(spectrum, np.where(live, bins, 0), 1)
        # Frames begin at u = -1/2: m k half turns before the boundary. Then relative to the running phase.
        found *= np.where(bins % 2, -1.0, 1.0)
        tone[here] = np.where(live, found * np.exp(-2j * np.pi * np.mod(cycles[at[here], None] * k, 1.0)), 0)
    return tone


def _interpolated(sound: Float64, place: Float64) -> Float32:
    """Sound, silent outside, between its samples: cubic (Catmull-Rom), float32."""
    padded = np.concatenate([np.zeros(4), sound, np.zeros(4)]).astype(np.float32)
    place = np.clip(place + 4, 1, len(padded) - 3)
    index = place.astype(np.int32)
    t = (place - index).astype(np.float32)
    a, b, c, d = (padded[index + i] for i in (-1, 0, 1, 2))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def _corrected(tone: np.ndarray, cycles: Float64, passes: list[int]) -> Float64:
    """Cycles to add [n], 0 at the first boundary: phase steps of the harmonics, integrated."""
    power = np.abs(tone) ** 2
    step = tone[1:] * np.conj(tone[:-1])
    total = np.minimum(power[1:].sum(1), power[:-1].sum(1))[:, None]
    bound = BEND * np.diff(cycles)
    shift = np.zeros(len(step))
    for count in passes:
        k = np.arange(1, count + 1)
        part = step[:, :count] * np.exp(-2j * np.pi * k * shift[:, None])
        part = np.where(np.abs(part) > 1e-4 * total, part, 0)
        part = _triangle(part)  # steps of neighbours, averaged as vectors: noise turns by itself
        weight = np.abs(part) * k**2
        more = (weight * np.angle(part) / k).sum(1) / np.maximum(weight.sum(1), 1e-30) / (2 * np.pi)
        shift = np.clip(shift + more, -bound, bound)
    return np.concatenate([[0.0], np.cumsum(shift)])


def _triangle(steps: np.ndarray) -> np.ndarray:
    padded = np.concatenate([steps[:1], steps, steps[-1:]])
    return 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]


def _anchor(tone: np.ndarray, shift: Float64, advance: Float64, rate: int) -> Float64:
    """Cycles to add [n] after `shift`: the slow part of the fundamental's own phase. advance [n - 1]: cycles per hop.

    Where the fundamental is missing, the strongest harmonic stands in: the phase is known up to a fraction of a cycle.
    """
    power = (np.abs(tone) ** 2).sum(0)
    k = 1 if power[0] > FAINT * power.sum() else 1 + int(power[:8].argmax())
    own = tone[:, k - 1] * np.exp(-2j * np.pi * k * shift)
    width = max(round(ANCHOR_S * rate / HOP), 1)
    slow = signal.oaconvolve(np.pad(own, width, "edge"), np.hanning(2 * width + 1), "same")[width:-width]
    # Where that harmonic fades for a moment its phase may flip: no correction is so fast.
    steps = np.clip(np.diff(np.unwrap(np.angle(slow))) / (2 * np.pi * k), -BEND * advance, BEND * advance)
    return np.angle(slow[0]) / (2 * np.pi * k) + np.concatenate([[0.0], np.cumsum(steps)])


def _joined(found: Float64, held: Float64, stretches: list[tuple[int, int]]) -> Float64:
    """Cycles [hops + 1]: found inside the stretches; between them held, bent to arrive where the next one begins."""
    cycles = held.copy()
    first, end = stretches[0]
    cycles[: first + 1] += found[first] - held[first]
    for number, (begin, last) in enumerate(stretches):
        if number:
            asked = cycles[end] + held[begin] - held[end]
            off = np.round(asked - found[begin]) + found[begin] - asked
            cycles[end : begin + 1] = cycles[end] + held[end : begin + 1] - held[end]
            cycles[end : begin + 1] += off * np.linspace(0, 1, begin + 1 - end)
        cycles[begin : last + 1] = cycles[begin] + found[begin : last + 1] - found[begin]
        end = last
    cycles[end:] = cycles[end] + held[end:] - held[end]
    return cycles


def _without_short(mask: np.ndarray, shortest: int, inner: bool = False) -> np.ndarray:
    """mask [n] without its stretches of fewer than `shortest`; inner: those at the ends stay."""
    out = mask.copy()
    for first, last in _runs(mask):
        if last - first < shortest and not (inner and (first == 0 or last == len(mask))):
            out[first:last] = False
    return out


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """[first, last) of every stretch where mask holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
