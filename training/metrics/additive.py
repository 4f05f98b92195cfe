"""Why not an oscillator? An additive-plus-filtered-noise synthesiser (Serra & Smith 1990) fitted to the corpus a model
was trained on, and played by the same channels.

In: a corpus, a model's channels. Out: a Player. Amplitudes of harmonics and levels of noise bands are smooth functions
of the channels, by ridge regression on Gaussian features; nothing in it remembers what was played before. Knows no
network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, linalg

from livemove.contracts import HOP, LEVEL, Float32, Float64, ModelSpec
from training.data import descriptors
from training.data.corpus import Corpus, CorpusError
from training.metrics import tone
from training.metrics.playing import Segment, Style

HARMONICS = 128
BANDS = 24
FLOOR_DB = -100.0
"""Relative to the level asked for: what is not there."""
EVERY = 4
"""Amplitudes are measured every so many hops."""
WINDOW_S = 2.0
"""Length of the stretches of the corpus that are looked at, and how much there may be in all, per style."""
SECONDS = 160.0
CENTRES = 160
WIDTHS = {"pitch": 2.5}
"""Of the Gaussians: in semitones for pitch, 0.7 standard deviations for any other channel."""
RIDGE = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
FADE = (0.42, 0.44)
"""A harmonic fades out between these fractions of the sample rate; what is measured ends at the first."""


@dataclass(frozen=True)
class Features:
    """Channels [n, C] -> [n, F]: one, the channels, and Gaussians around some of the points met."""

    mean: Float64
    deviation: Float64
    width: Float64
    centres: Float64

    @staticmethod
    def of(spec: ModelSpec, channels: Float64, rng: np.random.Generator) -> Features:
        mean, deviation = channels.mean(0), np.maximum(channels.std(0), 1e-3)
        width = np.array([WIDTHS.get(c.name, 0.7 * s) for c, s in zip(spec.channels, deviation, strict=True)])
        chosen = rng.permutation(len(channels))[:CENTRES]
        return Features(mean, deviation, width, channels[chosen])

    def __call__(self, channels: np.ndarray) -> Float64:
        x = np.asarray(channels, np.float64)
        scaled, centres = x / self.width, self.centres / self.width
        square = (scaled**2).sum(1)[:, None] - 2 * scaled @ centres.T + (centres**2).sum(1)
        return np.concatenate([np.ones((len(x), 1)), (x - self.mean) / self.deviation, np.exp(-square / 2)], 1)


@dataclass(frozen=True)
class Voice:
    """One style: features, weights [F, HARMONICS] of amplitudes and [F, BANDS] of noise, both in dB re the level
    asked."""

    features: Features
    harmonics: Float64
    noise: Float64


class Additive:
    """The synthesiser: a voice per style of the model. A Player."""

    lag = 0

    def __init__(self, spec: ModelSpec, voices: Sequence[Voice]) -> None:
        self.spec, self.voices = spec, voices
        self.low, self.high = (np.array([getattr(c, e) for c in spec.channels]) for e in ("minimum", "maximum"))

    def sound(self, channels: Float32, style: Style = 0, seed: int = 0, phase: float = 0.0) -> Float32:
        return self.sequence([(channels, style)], seed, phase)

    def sequence(self, segments: Sequence[Segment], seed: int = 0, phase: float = 0.0) -> Float32:
        tables = [self.tables(channels, style) for channels, style in segments]
        amplitude, noise = (np.concatenate([table[i] for table in tables]) for i in (0, 1))
        track = np.concatenate([channels for channels, _ in segments])
        pitch = self.spec.channel_names.index("pitch")
        notes = np.clip(track[:, pitch], self.low[pitch], self.high[pitch])
        out = oscillators(notes, amplitude, self.spec.sample_rate, phase)
        return (out + filtered_noise(noise, self.spec.sample_rate, seed)).astype(np.float32)

    def tables(self, channels: Float32, style: Style) -> tuple[Float64, Float64]:
        """(amplitudes [hops, HARMONICS], RMS of noise [hops, BANDS]) whose sum has the RMS the loudness asks for."""
        names, rate = self.spec.channel_names, self.spec.sample_rate
        asked = np.clip(channels.astype(np.float64), self.low, self.high)
        weights = np.eye(len(self.voices))[style] if isinstance(style, int) else np.asarray(style, np.float64)
        decibels = [np.zeros((len(asked), HARMONICS)), np.zeros((len(asked), BANDS))]
        for voice, weight in zip(self.voices, weights, strict=True):
            if weight:
                x = voice.features(asked)
                for total, table in zip(decibels, (voice.harmonics, voice.noise), strict=True):
                    total += weight * np.clip(x @ table, FLOOR_DB, 10.0)
        amplitude, noise = (np.where(d > FLOOR_DB + 1, 10 ** (d / 20), 0.0) for d in decibels)
        hz = tone.hertz(asked[:, names.index("pitch")])[:, None] * np.arange(1, HARMONICS + 1)
        amplitude *= np.clip((FADE[1] - hz / rate) / (FADE[1] - FADE[0]), 0, 1)
        power = (amplitude**2).sum(1) / 2 + (noise**2).sum(1)
        level = LEVEL * asked[:, names.index("loudness")] ** 2
        gain = (level / np.sqrt(np.maximum(power, 1e-12)))[:, None]
        return amplitude * gain, noise * gain


def oscillators(notes: np.ndarray, amplitude: Float64, rate: int, phase: float) -> Float64:
    """Audio [hops * HOP]: harmonics with amplitudes [hops, K] that ramp from hop to hop, phases -pi k (k-1) / K
    (Schroeder 1970), of pitch constant inside a hop."""
    live = int(np.flatnonzero(amplitude.max(0) > 10 ** (-90 / 20)).max(initial=0)) + 1
    carrier = np.exp(2j * np.pi * np.mod(tone.running_phase(notes, rate, phase)[:-1], 1)).astype(np.complex64)
    carrier = carrier.reshape(-1, HOP)
    before = np.concatenate([amplitude[:1], amplitude[:-1]]).astype(np.float32)
    now, ramp = amplitude.astype(np.float32), (np.arange(1, HOP + 1) / HOP).astype(np.float32)
    power, out = carrier.copy(), np.zeros(carrier.shape, np.float32)
    for k in range(1, live + 1):
        turn = -np.pi * k * (k - 1) / HARMONICS
        a = before[:, k - 1, None] + ramp * (now[:, k - 1, None] - before[:, k - 1, None])
        out += a * (power.imag * np.float32(np.cos(turn)) + power.real * np.float32(np.sin(turn)))
        power *= carrier
    return out.reshape(-1).astype(np.float64)


def edges(rate: int) -> Float64:
    """Edges [BANDS + 1] in Hz of the noise bands, even on the mel scale, from 0 to Nyquist."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    return 700 * (10 ** (np.linspace(0, top, BANDS + 1) / 2595) - 1)


def filtered_noise(levels: Float64, rate: int, seed: int) -> Float64:
    """Audio [hops * HOP] of white noise through a bank of BANDS rectangles with RMS [hops, BANDS], overlap-added."""
    hops, size = len(levels), 2 * HOP
    hz = np.arange(size // 2 + 1) * rate / size
    band = np.clip(np.searchsorted(edges(rate), hz, "right") - 1, 0, BANDS - 1)
    count = np.maximum(np.bincount(band, minlength=BANDS), 1)
    white = np.random.default_rng(seed).standard_normal((hops + 1) * HOP)
    taper = np.sin(np.pi * (np.arange(size) + 0.5) / size)
    frames = np.lib.stride_tricks.sliding_window_view(white, size)[::HOP] * taper
    spectra = fft.rfft(frames, axis=1)
    # white noise of unit variance has 1 / (size / 2) of its power in every bin
    gain = levels / np.sqrt(count * 2 / size)
    shaped = fft.irfft(spectra * gain[:, band], size, axis=1) * taper
    out = np.zeros((hops + 1) * HOP)
    out[:-HOP] += shaped[:, :HOP].reshape(-1)
    out[HOP:] += shaped[:, HOP:].reshape(-1)
    return out[HOP // 2 : HOP // 2 + hops * HOP]


# --- fitting --------------------------------------------------------------------------------------------------


def fit(corpus: Corpus, spec: ModelSpec, seed: int = 0) -> Additive:
    """A voice for each style of the model from the training clips of that name (of all, if it has none so named).

    Raises CorpusError where there is nothing to fit.
    """
    return Additive(spec, [_voice(corpus, spec, style, seed) for style in spec.styles or ("",)])


def _voice(corpus: Corpus, spec: ModelSpec, style: str, seed: int) -> Voice:
    rng = np.random.default_rng((seed, 11))
    clips = corpus.select("train", spec.channel_names)
    clips = [c for c in clips if c.style == style] or list(clips)
    long = round(WINDOW_S * spec.sample_rate / HOP)
    order = rng.permutation(len(clips))
    rows: list[tuple[Float64, Float64, Float64]] = []
    left = SECONDS
    for index in np.resize(order, 10 * len(order)):
        clip = clips[index]
        hops = min(long, clip.hops)
        window = corpus.read(clip, spec.channel_names, int(rng.integers(0, clip.hops - hops + 1)), hops)
        rows += measured(window.audio, np.asarray(window.channels), spec)
        left -= hops * HOP / spec.sample_rate
        if left <= 0:
            break
    if len(rows) < 50:
        raise CorpusError(f"{corpus.root}: too little that sounds to fit the additive baseline to ({style or 'all'})")
    channels, harmonics, noise = (np.array(column) for column in zip(*rows, strict=True))
    features = Features.of(spec, channels, rng)
    x = features(channels)
    weights = _ridge(x, np.concatenate([harmonics, noise], 1), rng)
    return Voice(features, weights[:, :HARMONICS], weights[:, HARMONICS:])


def measured(audio: Float32, channels: np.ndarray, spec: ModelSpec) -> list[tuple[Float64, Float64, Float64]]:
    """(channels [C], harmonics [HARMONICS], noise [BANDS] in dB re the level asked for) around every EVERY-th hop that
    sounds. A harmonic too high to be heard has the level of the highest one that is: for a smooth regression."""
    names, rate = spec.channel_names, spec.sample_rate
    notes, loudness = channels[:, names.index("pitch")], channels[:, names.index("loudness")]
    periods = tone.Periods(audio, rate, tone.running_phase(notes, rate))
    hz, borders = tone.hertz(notes), edges(rate)
    rows: list[tuple[Float64, Float64, Float64]] = []
    for hop in range(EVERY // 2, len(channels), EVERY):
        level = LEVEL * loudness[hop] ** 2
        if level <= descriptors.SILENT:
            continue
        count = tone.periods_for(hz[hop], least=4, seconds=0.03)
        frames = periods.around(hop * HOP + HOP // 2, count)
        if frames is None:
            continue
        wave, residual = tone.split(frames)
        points = len(wave)
        found = 2 * np.abs(fft.rfft(wave))[1 : HARMONICS + 1] / points
        heard = max(min(int(FADE[0] * rate / hz[hop]), len(found)), 1)
        amplitude = np.concatenate([found[:heard], np.full(HARMONICS - heard, found[heard - 1])])
        # The residual's power by frequency: bin i of all periods together is i / count of the pitch.
        power = 2 * np.abs(fft.rfft(residual.reshape(-1))) ** 2 / residual.size**2 * count / (count - 2)
        bands = np.histogram(np.arange(len(power)) * hz[hop] / count, borders, weights=power)[0]
        rows.append((channels[hop].astype(np.float64), _in_db(amplitude, level), _in_db(np.sqrt(bands), level)))
    return rows


def _in_db(amplitude: Float64, level: float) -> Float64:
    return np.maximum(20 * np.log10(np.maximum(amplitude / level, 1e-12)), FLOOR_DB)


def _ridge(x: Float64, y: Float64, rng: np.random.Generator) -> Float64:
    """Weights [F, columns] of y [n, columns] on x [n, F], with the penalty that predicts a held-out fifth best."""
    held = rng.random(len(x)) < 0.2
    errors = [float(np.abs(x[held] @ _solved(x[~held], y[~held], p) - y[held]).mean()) for p in RIDGE]
    return _solved(x, y, RIDGE[int(np.argmin(errors))])


def _solved(x: Float64, y: Float64, penalty: float) -> Float64:
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += penalty * np.where(np.arange(len(gram)) == 0, 1e-6, 1.0)
    return linalg.solve(gram, x.T @ y, assume_a="pos")
