"""What a sound is like, hop by hop: pitch, voicing, loudness, brightness, onset strength.

In: mono audio float32 [samples] at any rate. Out: float32 [hops, 5], row i about samples i * HOP .. (i + 1) * HOP.
Pure NumPy/SciPy on arrays, in blocks, so that an hour takes little more memory than a minute. Knows no file or network.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import fft, signal

from livemove.contracts import HOP, LEVEL, Channel, Float32, Float64

CHANNELS: tuple[Channel, ...] = (
    Channel("pitch", "MIDI note", 33.0, 93.0, 69.0),  # A1 to A6, held through what has none
    Channel("voicing", "0..1", 0.0, 1.0, 0.0),  # 0 noise or silence .. 1 perfectly periodic
    Channel("loudness", "0..1.5", 0.0, 1.5, 0.0),  # the theremin's: 1 is an RMS of -12 dBFS, 0.1 one of -52, 1.5 of -5
    Channel("brightness", "0..1", 0.0, 1.0, 0.5),  # spectral centroid, 100 Hz .. 10 kHz in octaves
    Channel("onset", "0..1", 0.0, 1.0, 0.0),  # how much the spectrum rises: 1 is a hit out of silence
)
"""The columns, in order, with their ranges and what they are in silence."""

NAMES = tuple(channel.name for channel in CHANNELS)

BLOCK = 512
"""Hops analysed at a time: 2.7 s at 48 kHz."""
LOWEST_HZ = 5.0
"""What is slower is no sound: a converter's offset, a draught at the microphone."""
SILENT = 10 ** (-70 / 20)
"""RMS below which a frame has no pitch and no brightness of its own."""

# Boersma's path finder, with the costs Praat has used for thirty years where nothing is said to the contrary.
CANDIDATES = 6
UNVOICED_STRENGTH = 0.45
OCTAVE_COST = 0.01
OCTAVE_JUMP_COST = 0.35
VOICING_CHANGE_COST = 0.14


def without_dc(audio: Float32 | Float64, rate: int) -> Float32:
    """audio [n], float32, without a constant, or one that drifts: a first-order high-pass at LOWEST_HZ.

    -0.04 dB at the lowest note. It begins as if what the first tenth of a second is on average had always been there.
    """
    if not len(audio):
        return np.zeros(0, np.float32)
    pole = np.exp(-2 * np.pi * LOWEST_HZ / rate)
    gain = (1 + pole) / 2
    before = float(np.mean(audio[: max(rate // 10, 1)], dtype=np.float64))
    state = np.array([-gain * before])
    return signal.lfilter([gain, -gain], [1.0, -pole], audio, zi=state)[0].astype(np.float32)


def describe(audio: Float32, rate: int, tracked: tuple[Float64, Float64] | None = None) -> Float32:
    """float32 [len(audio) // HOP, 5], columns as in CHANNELS. Every window is centred on the middle of its hop.

    tracked: what `track_pitch` would say, where it is known already.
    """
    hops = len(audio) // HOP
    pitch, voicing = track_pitch(audio, rate) if tracked is None else tracked
    audio = without_dc(audio, rate)
    loudness, brightness, onset = (np.empty(hops) for _ in range(3))
    width = _window(rate, 1 / 47)  # 1,024 samples at 48 kHz
    last = None
    for first, frames in _frames(audio, width):
        here = slice(first, first + len(frames))
        rms, centroid_hz, bands_db = _spectral(frames, rate)
        loudness[here] = np.sqrt(rms / LEVEL)
        brightness[here] = np.where(rms > SILENT, np.log2(np.maximum(centroid_hz, 1.0) / 100) / np.log2(100), np.nan)
        # Against two hops earlier, when the window shared only half of its samples with this one.
        earlier = np.concatenate([bands_db[:1].repeat(2, 0) if last is None else last, bands_db])
        onset[here] = np.maximum(bands_db - earlier[:-2], 0.0).mean(1) / 30.0
        last = earlier[-2:]
    columns = [_held(pitch, CHANNELS[0].rest), voicing, loudness, _held(brightness, CHANNELS[3].rest), onset]
    low, high = (np.array([getattr(c, end) for c in CHANNELS]) for end in ("minimum", "maximum"))
    return np.clip(np.stack(columns, -1), low, high).astype(np.float32)


# --- pitch --------------------------------------------------------------------------------------------------


def track_pitch(
    audio: Float32, rate: int, low_hz: float = 55.0, high_hz: float = 1760.0, window_s: float = 2 / 47
) -> tuple[Float64, Float64]:
    """(MIDI note [hops], NaN where there is none; voicing [hops], 0..1).

    Candidates are peaks of the normalised square difference function (McLeod & Wyvill 2005), which weighs both ends of
    a window alike: a glide reads as the pitch in its middle. Boersma's (1993) Viterbi search chooses among them.
    """
    audio = without_dc(audio, rate)
    width = _window(rate, window_s)
    shortest, longest = rate / high_hz, min(rate / low_hz, width / 2)
    finer = max(1, round(48000 / rate))  # at 16 kHz the shortest periods are nine samples, which no parabola can fit
    notes, strengths, rests = [], [], []
    for _, frames in _frames(audio, width):
        periods, clarity = _candidates(_nsdf(frames, int(longest) + 2, finer), shortest * finer, longest * finer)
        periods /= finer
        level = frames.std(1)
        # Silence is unvoiced however periodic its last bit is; so is noise: its peaks are low.
        rests.append(np.where(level > SILENT, UNVOICED_STRENGTH, 2.0))
        with np.errstate(divide="ignore"):
            notes.append(69 + 12 * np.log2(rate / periods / 440.0))
        strengths.append(clarity - OCTAVE_COST * np.log2(periods / shortest))
    if not notes:
        return np.empty(0), np.empty(0)
    note, strength, rest = np.concatenate(notes), np.concatenate(strengths), np.concatenate(rests)
    chosen = _best_path(note, strength, rest, HOP / rate)
    row = np.arange(len(note))
    voiced = chosen < CANDIDATES
    index = np.where(voiced, chosen, 0)
    pitch = np.where(voiced, note[row, index], np.nan)
    voicing = np.where(voiced, np.clip(strength[row, index], 0.0, 1.0), 0.0)
    return pitch, voicing


def _nsdf(frames: Float64, lags: int, finer: int) -> Float64:
    """[n, lags * finer], -1..1, at every 1/finer lag: 2 r(lag) / m(lag), m the power of the two stretches compared."""
    frames = frames - frames.mean(1, keepdims=True)
    width = frames.shape[1]
    size = fft.next_fast_len(width + lags, real=True)
    spectrum = fft.rfft(frames, size)
    power = spectrum.real**2 + spectrum.imag**2
    r = fft.irfft(power, size * finer)[:, : lags * finer] * finer  # zeros behind the spectrum: r between the lags
    total = np.concatenate([np.zeros((len(frames), 1)), np.cumsum(frames**2, 1)], 1)
    lag = np.arange(lags + 1)
    m = total[:, width - lag] + total[:, -1:] - total[:, lag]
    if finer > 1:  # in a straight line from lag to lag
        part = np.arange(finer) / finer
        m = m[:, :-1, None] * (1 - part) + m[:, 1:, None] * part
    m = m.reshape(len(frames), -1)[:, : lags * finer]
    return 2 * r / np.maximum(m, 1e-12)


def _candidates(nsdf: Float64, shortest: float, longest: float) -> tuple[Float64, Float64]:
    """(periods in steps of nsdf, heights), both [n, CANDIDATES]; missing ones are NaN and -1."""
    left, middle, right = nsdf[:, :-2], nsdf[:, 1:-1], nsdf[:, 2:]
    row, at = np.nonzero((middle > left) & (middle >= right) & (middle > 0.2))
    a, b, c = left[row, at], middle[row, at], right[row, at]
    shift = 0.5 * (a - c) / (a - 2 * b + c)  # vertex of the parabola through three points
    period, height = at + 1 + shift, b - 0.25 * (a - c) * shift
    inside = (period >= shortest) & (period <= longest)
    row, period, height = row[inside], period[inside], height[inside]
    # A short lag's merit beats its multiples': they are peaks as high.
    order = np.lexsort((OCTAVE_COST * np.log2(period / shortest) - height, row))
    row, period, height = row[order], period[order], height[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept = rank < CANDIDATES
    periods, heights = np.full((len(nsdf), CANDIDATES), np.nan), np.full((len(nsdf), CANDIDATES), -1.0)
    periods[row[kept], rank[kept]], heights[row[kept], rank[kept]] = period[kept], height[kept]
    return periods, heights


def _best_path(note: Float64, strength: Float64, rest: Float64, hop_s: float) -> np.ndarray:
    """Index [n] of the candidate on the best path; CANDIDATES means unvoiced."""
    n, k = note.shape
    strength = np.concatenate([np.nan_to_num(strength, nan=-1.0), rest[:, None]], 1)
    octave = np.nan_to_num(note, nan=0.0) / 12
    per_hop = 0.01 / hop_s  # the costs of change are meant for frames 10 ms apart
    jump, change = OCTAVE_JUMP_COST * per_hop, VOICING_CHANGE_COST * per_hop
    best = strength[0].copy()
    cost = np.full((k + 1, k + 1), change)
    cost[k, k] = 0.0
    back = np.empty((n, k + 1), np.int64)
    for i in range(1, n):
        cost[:k, :k] = jump * np.abs(octave[i - 1][:, None] - octave[i])
        total = best[:, None] - cost
        back[i] = total.argmax(0)
        best = total[back[i], np.arange(k + 1)] + strength[i]
    path = np.empty(n, np.int64)
    path[-1] = best.argmax()
    for i in range(n - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path


# --- spectrum -----------------------------------------------------------------------------------------------


def _spectral(frames: Float64, rate: int) -> tuple[Float64, Float64, Float64]:
    """(RMS [n], spectral centroid in Hz [n], level of 40 bands in dB [n, 40] above a floor of -60 dBFS)."""
    width = frames.shape[1]
    hann = np.hanning(width + 1)[:-1]
    amplitude = np.abs(fft.rfft(frames * hann)) * (2 / hann.sum())
    rms = np.sqrt((frames**2 * hann).sum(1) / hann.sum())
    hz = np.arange(amplitude.shape[1]) * (rate / width)
    centroid = (amplitude * hz).sum(1) / np.maximum(amplitude.sum(1), 1e-12)
    bands = np.sqrt((amplitude**2) @ _band_weights(hz))
    return rms, centroid, 20 * np.log10(np.maximum(bands, 1e-3)) + 60


def _band_weights(hz: Float64, count: int = 40) -> Float64:
    """[bins, count]: triangles of one height, evenly spaced on the mel scale from 30 Hz to 16 kHz or Nyquist."""
    top = min(16000.0, hz[-1])
    mel = np.linspace(np.log1p(30 / 700), np.log1p(top / 700), count + 2)
    edge = 700 * np.expm1(mel)
    # A band narrower than a bin still takes its share of the nearest one.
    spread = np.maximum(np.diff(edge), hz[1])
    rising = (hz[:, None] - edge[1:-1]) / spread[:-1] + 1
    falling = (edge[1:-1] - hz[:, None]) / spread[1:] + 1
    return np.clip(np.minimum(rising, falling), 0.0, 1.0)


# --- frames -------------------------------------------------------------------------------------------------


def _window(rate: int, seconds: float) -> int:
    """An even number of samples, about so many seconds."""
    return 2 * round(rate * seconds / 2)


def _frames(audio: Float32, width: int) -> Iterator[tuple[int, Float64]]:
    """(first hop, frames float64 [up to BLOCK, width]), each centred on the middle of its hop; silence all around."""
    hops = len(audio) // HOP
    before = width // 2 - HOP // 2
    for first in range(0, hops, BLOCK):
        count = min(BLOCK, hops - first)
        start, end = first * HOP - before, (first + count - 1) * HOP - before + width
        part = np.zeros(end - start)
        inside = audio[max(start, 0) : end]
        part[max(-start, 0) : max(-start, 0) + len(inside)] = inside
        yield first, np.lib.stride_tricks.sliding_window_view(part, width)[::HOP]


def _held(values: Float64, rest: float) -> Float64:
    """values [n] with the last known one through NaN, the first known one before it, rest if there is none."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return np.full(len(values), rest)
    return values[known[np.maximum(np.searchsorted(known, np.arange(len(values)), "right") - 1, 0)]]
