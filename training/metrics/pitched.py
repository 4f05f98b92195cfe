"""What the evaluation measures of a sound, given the control track that asked for it. Pure NumPy/SciPy on arrays.

Audio is float32 at `rate`; a control track has one row per hop. Sound lags its track by `delay` samples.
"""

from __future__ import annotations

import librosa
import numpy as np
from scipy.stats import spearmanr

from livemove.contracts import HOP, Float32, Float64

FRAME = 2048
"""Samples of the pitch tracker's and the harmonic fit's window at 48 kHz: 43 ms."""
VOICED = 0.25
"""Loudness above which a frame counts for pitch and noise."""


def framed(audio: Float32, rate: int, delay: int, hops: int) -> Float64:
    """Frames [hops, width], each centred on the end of its hop, the sound's delay taken out."""
    width = FRAME * rate // 48000
    padded = np.pad(audio.astype(np.float64), (width, width + HOP + delay))
    starts = (np.arange(hops) + 1) * HOP + delay + width - width // 2
    return padded[starts[:, None] + np.arange(width)]


def track_pitch(audio: Float32, rate: int, delay: int, hops: int) -> Float64:
    """Pitch [hops] in MIDI notes by YIN (de Cheveigné & Kawahara 2002), told only its range: 150-1200 Hz."""
    frames = framed(audio, rate, delay, hops)
    flat = frames.reshape(-1).astype(np.float32)
    width = frames.shape[1]
    hz = librosa.yin(flat, fmin=150, fmax=1200, sr=rate, frame_length=width, hop_length=width, center=False)
    return librosa.hz_to_midi(hz[:hops])


def voiced(track: Float32) -> np.ndarray:
    """Hops [bool] with enough loudness, and at least a window away from any that lacks it."""
    reach = FRAME // HOP // 2 + 2
    quiet = np.convolve(track[:, 1] < VOICED, np.ones(2 * reach + 1), "same") > 0
    inside = np.zeros(len(track), bool)
    inside[reach:-reach] = True
    return inside & ~quiet


def cents(audio: Float32, rate: int, delay: int, track: Float32) -> Float64:
    """Absolute pitch errors in cents of the voiced hops, against the mean pitch asked for in the window."""
    window = FRAME // HOP
    asked = np.convolve(track[:, 0], np.ones(window) / window, "same")
    # asked[i] averages hops i-4 .. i+3; frame i covers hops i-3 .. i+4
    asked = np.append(asked[1:], asked[-1])
    found = track_pitch(audio, rate, delay, len(track))
    return 100 * np.abs(found - asked)[voiced(track)]


def harmonic_to_noise_db(audio: Float32, rate: int, delay: int, track: Float32, harmonics: int = 24) -> Float64:
    """HNR in dB of every eighth voiced hop: harmonic-plus-noise analysis (Stylianou 1996).

    The harmonics of the pitch asked for, each with an amplitude and phase linear in time, are fitted to the window by
    least squares; what they leave is noise. The phase follows the track, so glides and vibrato do not count as noise.
    """
    frames = framed(audio, rate, delay, len(track))
    hz = 440 * 2 ** ((track[:, 0].astype(np.float64) - 69) / 12)
    cycles = np.concatenate([[0], np.cumsum(np.repeat(hz, HOP))]) / rate
    width = frames.shape[1]
    ramp = np.linspace(-1, 1, width)
    out = []
    for hop in np.flatnonzero(voiced(track))[::8]:
        end = (hop + 1) * HOP
        phase = cycles[np.clip(end - width // 2 + np.arange(width), 0, len(cycles) - 1)]
        count = min(harmonics, int(0.45 * rate / hz[hop]))
        angle = 2 * np.pi * phase[:, None] * np.arange(1, count + 1)
        basis = np.concatenate([np.sin(angle), np.cos(angle)], 1)
        basis = np.concatenate([basis, basis * ramp[:, None]], 1)
        fitted = basis @ np.linalg.solve(basis.T @ basis, basis.T @ frames[hop])  # 20 times faster than an SVD
        noise = np.sum((frames[hop] - fitted) ** 2)
        out.append(10 * np.log10(np.sum(fitted**2) / max(noise, 1e-20)))
    return np.array(out)


def level(audio: Float32, delay: int, hops: int) -> Float64:
    """RMS [hops] of each hop, the sound's delay taken out."""
    padded = np.pad(audio.astype(np.float64), (0, HOP + delay))[delay : delay + hops * HOP]
    return np.sqrt((padded.reshape(hops, HOP) ** 2).mean(1))


def dbfs(rms: float) -> float:
    """Level in dB re full scale; digital silence reads -120."""
    return float(20 * np.log10(max(rms, 1e-6)))


def rise_ms(audio: Float32, rate: int, onset: int, steady: int) -> float:
    """Milliseconds from sample `onset` until the sound reaches half its steady level (RMS over `steady` on)."""
    target = np.sqrt((audio[steady:] ** 2).mean()) / 2
    power = np.convolve(audio[onset:].astype(np.float64) ** 2, np.ones(HOP) / HOP)[: len(audio) - onset]
    reached = np.flatnonzero(np.sqrt(power) >= target)
    return float(reached[0] * 1000 / rate) if len(reached) else float("inf")


def brightness_correlation(audio: Float32, rate: int, delay: int, track: Float32) -> float:
    """Spearman correlation of brightness with spectral centroid over pitch, in voiced hops. nan: it never moved."""
    hops = voiced(track)
    power = np.abs(np.fft.rfft(framed(audio, rate, delay, len(track))[hops] * np.hanning(FRAME * rate // 48000))) ** 2
    hz = np.fft.rfftfreq(FRAME * rate // 48000, 1 / rate)
    centroid = power @ hz / np.maximum(power.sum(1), 1e-12)
    pitch_hz = 440 * 2 ** ((track[hops, 0] - 69) / 12)
    asked = track[hops, 2]
    if len(asked) < 3 or asked.std() == 0:
        return float("nan")
    return float(spearmanr(asked, centroid / pitch_hz)[0])


def spectral_distance_db(audio: Float32, original: Float32, rate: int) -> float:
    """Root mean square difference in dB of two sounds' mel spectra (64 bands, 43 ms, floor 80 dB below full scale).

    The log-spectral distance (Gray & Markel 1976) on a scale of hearing. Both of one length, one on top of the other.
    """
    size = FRAME * rate // 48000
    full_scale = size / 4  # a sine of amplitude 1 under a Hann window
    mel = {"sr": rate, "n_fft": size, "hop_length": size // 2, "n_mels": 64, "norm": None}
    one, other = (
        10 * np.log10(librosa.feature.melspectrogram(y=x / full_scale, **mel) + 1e-8) for x in (audio, original)
    )
    return float(np.sqrt(((one - other) ** 2).mean()))
