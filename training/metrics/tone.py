"""What can be said of a pitched sound once it is known which pitch was asked for, exactly: every measure here follows
the phase integrated from the asked pitch, as the engine integrates it.

In: audio float32 at a rate, the pitch asked for [hops] in MIDI notes, one per HOP samples. Out: arrays and numbers.
Pure NumPy/SciPy, librosa for the one measure that must not know the pitch. Knows no model.
"""

from __future__ import annotations

import librosa
import numpy as np
from scipy import ndimage, signal

from livemove.contracts import HOP, Float32, Float64

GROSS_CENTS = 50.0
"""A pitch further off is another note, not a badly tuned one."""
EVERY = 8
"""Noise is measured around every so many hops."""
LINE_OVER_DB = 14.0
"""A spectral bin is a line if it stands so far above the median of its surroundings, and half as far, in dB, in each
half of the note; of some ten thousand bins of noise alone, one reaches 13 dB, but not in both halves."""


def hertz(notes: np.ndarray) -> Float64:
    """Frequency of MIDI notes."""
    return 440.0 * 2.0 ** ((np.asarray(notes, np.float64) - 69.0) / 12.0)


def running_phase(notes: np.ndarray, rate: int, start: float = 0.0) -> Float64:
    """Cycles [hops * HOP + 1] at every sample's beginning: pitch is constant inside a hop."""
    hz = np.repeat(hertz(notes), HOP)
    return start + np.concatenate([[0.0], np.cumsum(hz)]) / rate


# --- pitch, by a tracker that is told only the range ----------------------------------------------------------


def track_pitch(audio: Float32, rate: int, low_hz: float, high_hz: float, width: int) -> Float64:
    """Pitch [hops] in MIDI notes by YIN (de Cheveigné & Kawahara 2002), windows [width] amid the hops."""
    hops = len(audio) // HOP
    before = width // 2 - HOP // 2
    padded = np.pad(audio.astype(np.float32), (before, width))
    low_hz = max(low_hz, rate / (width // 2 - 4))  # the longest period it can see
    hz = librosa.yin(padded, fmin=low_hz, fmax=high_hz, sr=rate, frame_length=width, hop_length=HOP, center=False)
    return librosa.hz_to_midi(np.maximum(hz[:hops], 1.0))


def window(rate: int, lowest_hz: float) -> int:
    """Samples of the tracker's window: 43 ms, or 85 ms where notes are low."""
    return 2 * round(0.0427 * rate / 2) * (1 if lowest_hz >= 140 else 2)


def pitch_errors(audio: Float32, rate: int, notes: np.ndarray, sounding: np.ndarray) -> Float64:
    """Absolute errors in cents of the hops where a whole window sounds and asks for one pitch.

    Against the mean asked for in the window; hops whose window spans more than two semitones, a leap, have no one
    pitch. The tracker looks a little over an octave to either side: an octave off must be seen.
    """
    low, high = float(hertz(notes[sounding].min())), float(hertz(notes[sounding].max()))
    width = window(rate, low)
    beyond = 2 ** (13 / 12)
    found = track_pitch(audio, rate, low / beyond, min(high * beyond, rate / 4), width)
    reach = width // HOP
    mean = ndimage.uniform_filter1d(np.asarray(notes, np.float64), reach, mode="nearest")
    span = ndimage.maximum_filter1d(notes, reach) - ndimage.minimum_filter1d(notes, reach)
    good = whole(sounding, reach + 2) & (span <= 2)
    return 100 * np.abs(found - mean)[good]


def whole(sounding: np.ndarray, width: int) -> np.ndarray:
    """Hops [bool] around which `width` hops all sound."""
    inside = ndimage.minimum_filter1d(sounding.astype(np.int8), width, mode="constant", cval=0)
    return inside.astype(bool)


# --- noise ----------------------------------------------------------------------------------------------------


class Periods:
    """A sound cut into the periods of a phase: frames [periods, points], each period on the same points."""

    def __init__(self, audio: Float32, rate: int, cycles: Float64) -> None:
        """cycles [samples + 1], rising."""
        self.rate, self.cycles = rate, cycles
        twice = signal.resample_poly(audio[: len(cycles) - 1].astype(np.float64), 2, 1)  # splines err near Nyquist
        self.spline = ndimage.spline_filter1d(twice, 5)

    def around(self, sample: int, periods: int) -> Float64 | None:
        """The periods centred on a sample; None where the sound does not reach so far."""
        middle = self.cycles[sample]
        first, last = middle - periods / 2, middle + periods / 2
        if first < self.cycles[0] or last > self.cycles[-1]:
            return None
        low, high = np.searchsorted(self.cycles, (first, last))
        points = int(np.ceil((high - low) / periods))
        at = first + np.arange(periods * points) / points
        here = slice(max(low - 2, 0), high + 2)
        where = np.interp(at, self.cycles[here], np.arange(len(self.cycles))[here])
        values = ndimage.map_coordinates(self.spline, [2 * where], order=5, prefilter=False, mode="nearest")
        return values.reshape(periods, points)


def split(frames: Float64) -> tuple[Float64, Float64]:
    """(waveform [points], residual [periods, points]) of frames: what repeats, changing linearly in time, and what does
    not: every harmonic up to Nyquist with an amplitude and phase linear in time (Stylianou 1996), by least squares."""
    count = len(frames)
    ramp = np.linspace(-1, 1, count)
    mean = frames.mean(0)
    slope = ramp @ frames / (ramp**2).sum()
    return mean, frames - mean - ramp[:, None] * slope


def periods_for(hz: float, least: int = 8, seconds: float = 0.043) -> int:
    """How many periods are looked at together."""
    return max(least, int(np.ceil(seconds * hz)))


def harmonic_to_noise_db(audio: Float32, rate: int, notes: np.ndarray, sounding: np.ndarray) -> Float64:
    """HNR in dB around every EVERY-th hop that sounds; the share of noise that any fit takes is given back to it."""
    periods = Periods(audio, rate, running_phase(notes, rate))
    hz = hertz(notes)
    out: list[float] = []
    for hop in np.flatnonzero(whole(sounding, 2 * round(0.045 * rate / HOP)))[::EVERY]:
        count = periods_for(hz[hop])
        frames = periods.around(int(hop) * HOP + HOP // 2, count)
        if frames is None:
            continue
        _, residual = split(frames - frames.mean())
        noise = (residual**2).mean() * count / (count - 2)
        tone = max((frames - frames.mean()).var() - noise, 1e-14)
        out.append(float(10 * np.log10(tone / max(noise, 1e-14))))
    return np.array(out)


def alias_line_db(audio: Float32, rate: int, hz: float, step_rate: float) -> float:
    """Level in dB, relative to the whole tone, of the strongest line at step_rate * m +- n * hz (m = 1, 2 ...; n = 0, 1
    ...) that is no harmonic: what a network that makes several bands at step_rate gets wrong. audio: a steady note.

    A line stands above its surroundings in the whole note and in both halves of it, which noise that happens to peak
    does not. The answer is never less than what a line in median surroundings needs to be seen: a bound.
    Blackman-Harris window (Harris 1978), side lobes at -92 dB.
    """
    size = len(audio) // 2 * 2
    step_hz = rate / size
    shifts = np.arange(1, int(rate / step_rate) + 1) * step_rate
    numbers = np.arange(0, int(2 * rate / hz) + 1) * hz
    lines = np.abs(np.concatenate([np.add.outer(shifts, numbers).ravel(), np.subtract.outer(shifts, numbers).ravel()]))
    lines = np.unique(np.round(lines[(lines > 20) & (lines < rate / 2 - 20)], 6))
    # The window's main lobe is 4 bins to either side, of a half's bins 2 of the whole's.
    lines = lines[np.abs(lines - hz * np.round(lines / hz)) > 12 * step_hz]
    mean_square = float(np.mean(audio.astype(np.float64) ** 2))
    if not len(lines) or mean_square <= 0:
        return -120.0
    peak, floor = _peaks(audio[:size], step_hz, lines)
    halves = [_peaks(half, 2 * step_hz, lines) for half in (audio[: size // 2], audio[size // 2 : size])]
    is_line = peak > floor * 10 ** (LINE_OVER_DB / 10)
    for its_peak, its_floor in halves:
        is_line &= its_peak > its_floor * 10 ** (LINE_OVER_DB / 2 / 10)
    least = float(np.median(floor)) * 10 ** (LINE_OVER_DB / 10)
    strongest = max(float(peak[is_line].max(initial=0.0)), least)
    return float(max(10 * np.log10(max(strongest, 1e-30) / mean_square), -120.0))


def _peaks(audio: Float32, step_hz: float, lines: Float64) -> tuple[Float64, Float64]:
    """(mean square of a sine at each of these frequencies, median of the 60 Hz around it), of a stretch of sound."""
    taper = signal.windows.blackmanharris(len(audio), sym=False)
    power = np.abs(np.fft.rfft(audio.astype(np.float64) * taper)) ** 2 * (2 / taper.sum() ** 2)
    floor = ndimage.median_filter(power, round(60 / step_hz) | 1, mode="nearest")
    bins = np.round(lines / step_hz).astype(int)
    return power[np.stack([bins - 1, bins, bins + 1])].max(0), floor[bins]


# --- how it follows -------------------------------------------------------------------------------------------


def smoothing_s(notes: np.ndarray) -> float:
    """Width in seconds of each of the two boxes of `deviation`'s low-pass: two periods, at least 5 ms."""
    return max(2 / float(hertz(notes).min()), 0.005)


def deviation(audio: Float32, rate: int, notes: np.ndarray, harmonics: int = 6) -> Float64:
    """Cents [hops] by which the sound's pitch differs from the one asked for, by its harmonics' phase slopes, weighted
    |a|^2 k^2; low-passed by a triangle of twice `smoothing_s`. Holds as far as the sound is within half an octave."""
    phase = running_phase(notes, rate)[:-1]
    hz = hertz(notes)
    box = max(round(smoothing_s(notes) * rate), 2)
    middles = np.arange(len(notes)) * HOP + HOP // 2
    slope, weight = np.zeros(len(notes) - 1), np.full(len(notes) - 1, 1e-30)
    x = audio[: len(phase)].astype(np.float64)
    for k in range(1, harmonics + 1):
        if hz.max() * k > 0.45 * rate:
            break
        z = x * np.exp(-2j * np.pi * np.mod(k * phase, 1.0))
        for _ in range(2):
            z = ndimage.uniform_filter1d(z.real, box) + 1j * ndimage.uniform_filter1d(z.imag, box)
        z = z[middles]
        turn = z[1:] * np.conj(z[:-1])
        slope += np.abs(turn) * k * k * np.angle(turn) / k
        weight += np.abs(turn) * k * k
    cycles_per_s = slope / weight / (2 * np.pi) * rate / HOP
    between = np.interp(np.arange(len(notes)), np.arange(len(notes) - 1) + 0.5, cycles_per_s)
    return 1200 * np.log2(np.maximum(1 + between / hz, 0.5))


def vibrato(audio: Float32, rate: int, notes: np.ndarray, rate_hz: float, sounding: np.ndarray) -> tuple[float, float]:
    """(depth heard over depth asked for, lag in ms) of a vibrato of rate_hz in the pitch asked for."""
    smoothed = np.sinc(rate_hz * smoothing_s(notes)) ** 2
    times = np.arange(len(notes)) * HOP / rate
    carrier = np.exp(-2j * np.pi * rate_hz * times)
    basis = np.stack([carrier.real, carrier.imag, np.ones(len(notes)), times], 1)[sounding]

    def coefficient(cents: Float64) -> complex:
        fit = np.linalg.lstsq(basis, cents[sounding], rcond=None)[0]
        return complex(fit[0], fit[1])

    asked = coefficient(100 * np.asarray(notes, np.float64))
    heard = asked + coefficient(deviation(audio, rate, notes)) / smoothed
    ratio = heard / asked
    return abs(ratio), float(-np.angle(ratio) / (2 * np.pi * rate_hz) * 1000)


def glide_lag_ms(audio: Float32, rate: int, notes: np.ndarray, sounding: np.ndarray) -> float:
    """Median time in ms by which a gliding sound is behind the pitch asked for, where that moves by 3 semitones a
    second and more. nan: it never does."""
    slope = np.gradient(np.asarray(notes, np.float64)) * rate / HOP  # semitones a second
    moving = whole(sounding, 24) & (np.abs(slope) > 3) & (np.abs(slope) < 200)
    if not moving.any():
        return float("nan")
    return float(np.median(-deviation(audio, rate, notes)[moving] / 100 / slope[moving]) * 1000)
