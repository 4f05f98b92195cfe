"""Controls as unkind as can be: jumps to anywhere at every hop, extremes, silence to loud, everything frozen.

In: a player, a composer of tracks. Out: whether it was still there afterwards: in tune, bounded, silent when told to
be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livemove.contracts import HOP, LEVEL, Float32
from training.metrics import pitched, tone
from training.metrics.control_tracks import Composer
from training.metrics.playing import Player, Style

STORM_S, REST_S, PROBE_S, FREEZE_S = 2.0, 0.6, 1.0, 2.0
"""A cycle: a storm, silence, a note out of silence, a storm's last hop held, silence."""
DECAY_S = 0.1
"""So long may a sound last after loudness 0."""
SILENT_DB = -40.0
"""A note this far below what was asked for counts as lost."""


@dataclass(frozen=True)
class Cycle:
    """Channels of one cycle [hops, C]; begins: first hops of storm, rest, probe, second storm, freeze, last rest,
    end."""

    channels: Float32
    begins: tuple[int, ...]


def storm(composer: Composer, rng: np.random.Generator, hops: int) -> Float32:
    """Every channel anywhere within its own range, or at an end of it, anew every 1 to 12 hops."""
    hold = int(rng.integers(1, 13))
    count = hops // hold + 1
    low, high = (np.array([getattr(c, end) for c in composer.spec.channels]) for end in ("minimum", "maximum"))
    share = rng.random((count, len(low)))
    share = np.where(rng.random(share.shape) < 0.3, np.round(share), share)
    return np.repeat(low + share * (high - low), hold, 0)[:hops].astype(np.float32)


def cycle(composer: Composer, rng: np.random.Generator) -> Cycle:
    lengths = [composer.hops(s) for s in (STORM_S, REST_S, PROBE_S, 0.5, FREEZE_S, REST_S)]
    note = rng.uniform(*composer.ranges.pitch)
    last = composer.ranges.pitch[0] + rng.random() * np.ptp(composer.ranges.pitch)
    frozen = composer.channels(np.array([last]), composer.loud(rng.uniform(0.5, 1)), rng.random())
    silence = np.tile(np.float32([c.rest for c in composer.spec.channels]), (lengths[1], 1))
    silence[:, composer.spec.channel_names.index("loudness")] = 0
    anywhere = storm(composer, rng, 1)
    muted = np.repeat(anywhere, lengths[5], 0)  # silent at any pitch and brightness, not at rest's alone
    muted[:, composer.spec.channel_names.index("loudness")] = 0
    parts = [
        storm(composer, rng, lengths[0]),
        silence,
        composer.channels(np.full(lengths[2], note), composer.loud(0.7), 0.5),
        storm(composer, rng, lengths[3]),
        np.repeat(frozen, lengths[4], 0),
        muted,
    ]
    return Cycle(np.concatenate(parts).astype(np.float32), tuple(np.cumsum([0, *lengths]).tolist()))


def figures(player: Player, composer: Composer, seconds: float, seed: int, style: Style = 0) -> dict[str, float]:
    """Of so many seconds of cycles without a stop:

    stress_pitch_cents: median error of the notes out of silence; stress_gross_share. stress_peak: largest sample.
    stress_lost_share: of those notes and frozen sounds, how many are not there. stress_rest_dbfs: loudest of all the
    rests. stress_drift_db: change of a frozen sound's level from its first to its last half second, the largest.
    stress_late_db: level of the last fifth of the notes against the first's, relative to what was asked for.
    """
    spec, rng = composer.spec, np.random.default_rng((2**31, 7, seed))
    count = max(round(seconds / (STORM_S + 2 * REST_S + PROBE_S + 0.5 + FREEZE_S)), 2)
    cycles = [cycle(composer, rng) for _ in range(count)]
    sound = player.sequence([(c.channels, style) for c in cycles], seed)
    rate, pitch, loudness = spec.sample_rate, spec.channel_names.index("pitch"), spec.channel_names.index("loudness")
    errors: list[np.ndarray] = []
    levels: list[float] = []
    drifts: list[float] = []
    frozen: list[float] = []
    rests: list[float] = []
    decay, half = round(DECAY_S * rate), rate // 2
    start = 0
    for c in cycles:
        audio = sound[start : start + len(c.channels) * HOP]
        start += len(audio)
        at = [hop * HOP for hop in c.begins]
        rests += [rms(audio[at[1] + decay : at[2] - HOP]), rms(audio[at[5] + decay : at[6] - HOP])]
        probe = slice(c.begins[2], c.begins[3])
        hops = np.arange(probe.stop - probe.start) >= composer.hops(0.1)
        errors.append(tone.pitch_errors(audio[at[2] : at[3]], rate, c.channels[probe, pitch], hops))
        levels.append(in_db(audio[at[2] + decay : at[3]], c.channels[c.begins[2], loudness]))
        first, last = audio[at[4] + decay : at[4] + decay + half], audio[at[5] - half : at[5]]
        frozen.append(in_db(last, c.channels[c.begins[4], loudness]))
        drifts.append(abs(20 * np.log10((rms(last) + 1e-9) / (rms(first) + 1e-9))))
    cents = np.concatenate(errors)
    fifth = max(len(levels) // 5, 1)
    return {
        "stress_pitch_cents": float(np.median(cents)) if len(cents) else float("nan"),
        "stress_gross_share": float((cents > tone.GROSS_CENTS).mean()) if len(cents) else float("nan"),
        "stress_peak": float(np.abs(np.nan_to_num(sound, nan=np.inf)).max()),
        "stress_lost_share": float((np.array([*levels, *frozen]) < SILENT_DB).mean()),
        "stress_rest_dbfs": pitched.dbfs(max(rests)),
        "stress_drift_db": float(max(drifts)),
        "stress_late_db": float(np.median(levels[-fifth:]) - np.median(levels[:fifth])),
    }


def rms(audio: Float32) -> float:
    return float(np.sqrt(np.mean(audio.astype(np.float64) ** 2)))


def in_db(audio: Float32, loudness: float) -> float:
    """Level relative to what was asked for, which is an RMS of LEVEL * loudness^2."""
    return float(20 * np.log10((rms(audio) + 1e-9) / (LEVEL * loudness**2 + 1e-9)))
