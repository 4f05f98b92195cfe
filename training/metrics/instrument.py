"""All figures of a pitched model, or of any other player, on control tracks within its range, over several seeds.

In: players, a model's channels, ranges. Out: plain dictionaries of figures, each [median, lowest, highest] over seeds.
Knows no corpus and no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from livemove.contracts import HOP, Float32, ModelSpec
from training.data import descriptors
from training.metrics import pitched, stress, tone
from training.metrics.control_tracks import ONSET_REST_S, ONSET_SOUND_S, Composer, Ranges, Track, of_kind
from training.metrics.playing import Player, Style

SETTLED_S = 0.25
"""After the beginning of a track, before a note counts as held."""
REST_S = 0.1
"""Loudness must have been 0 for this long before a hop counts as rest."""

Spread = list[float]
"""[median, lowest, highest] over the seeds."""


def figures(
    player: Player, spec: ModelSpec, ranges: Ranges, seed: int, style: Style = 0, share: float = 1.0,
    step_rate: float | None = None,
) -> dict[str, float]:  # fmt: skip
    """Every figure of one player on the tracks of one seed.

    pitch_cents_median, _p90, pitch_gross_share: YIN against the pitch asked for, held notes, glides, vibrato, leaps,
    swells, phrases. hnr_db, _p10: what is periodic in the phase asked for over what is not. alias_db_median, _worst:
    strongest line at an image of the step rate, by held note. loudness_correlation, brightness_correlation: Pearson, of
    the descriptors of the output with what was asked for; brightness_correlation_note: the median of single notes'.
    response_ms: from the first sample of a loud hop to half its level, the model's own delay included;
    response_ms_worst.
    rest_dbfs: RMS from 0.1 s after loudness 0. vibrato_depth (heard over asked), vibrato_lag_ms, glide_lag_ms.
    """
    composer = Composer(spec, ranges)
    tracks = composer.everything(seed, share)
    sounds = [player.sound(track.channels, style, 1000 * seed + i) for i, track in enumerate(tracks)]
    return {
        **pitch_figures(tracks, sounds, spec, ranges),
        **noise_figures(tracks, sounds, spec, ranges, step_rate or spec.step_rate),
        **following(tracks, sounds, spec, ranges),
        **dynamics(tracks, sounds, spec, ranges, player.lag),
    }


def notes_of(track: Track, spec: ModelSpec) -> np.ndarray:
    return track.channels[:, spec.channel_names.index("pitch")]


def sounding(track: Track, spec: ModelSpec, ranges: Ranges) -> np.ndarray:
    """Hops [bool] that are asked to sound, and are past the track's beginning."""
    loud = track.channels[:, spec.channel_names.index("loudness")] > ranges.sounding
    loud[: round(SETTLED_S * spec.sample_rate / HOP)] = False
    return loud


def pitch_figures(
    tracks: Sequence[Track], sounds: Sequence[Float32], spec: ModelSpec, ranges: Ranges
) -> dict[str, float]:
    chosen = of_kind(tracks, "held", "glide", "vibrato", "leaps", "swell", "phrase")
    errors = [
        tone.pitch_errors(sounds[i], spec.sample_rate, notes_of(tracks[i], spec), hops)
        for i in chosen
        if (hops := sounding(tracks[i], spec, ranges)).any()
    ]
    return pitch_summary(np.concatenate(errors))


def pitch_summary(errors: np.ndarray) -> dict[str, float]:
    """Of absolute errors in cents."""
    if not len(errors):
        return dict.fromkeys(("pitch_cents_median", "pitch_cents_p90", "pitch_gross_share"), float("nan"))
    return {
        "pitch_cents_median": float(np.median(errors)),
        "pitch_cents_p90": float(np.percentile(errors, 90)),
        "pitch_gross_share": float((errors > tone.GROSS_CENTS).mean()),
    }


def noise_figures(
    tracks: Sequence[Track], sounds: Sequence[Float32], spec: ModelSpec, ranges: Ranges, step_rate: float
) -> dict[str, float]:
    rate = spec.sample_rate
    hnr = np.concatenate([
        tone.harmonic_to_noise_db(sounds[i], rate, notes_of(tracks[i], spec), sounding(tracks[i], spec, ranges))
        for i in of_kind(tracks, "held", "glide", "vibrato", "phrase")
    ])  # fmt: skip
    lines = [
        tone.alias_line_db(
            sounds[i][round(SETTLED_S * rate) :], rate, float(tone.hertz(notes_of(tracks[i], spec)[0])), step_rate
        )
        for i in of_kind(tracks, "held")
    ]
    return {
        "hnr_db": float(np.median(hnr)) if len(hnr) else float("nan"),
        "hnr_db_p10": float(np.percentile(hnr, 10)) if len(hnr) else float("nan"),
        "alias_db_median": float(np.median(lines)),
        "alias_db_worst": float(np.max(lines)),
    }


def following(tracks: Sequence[Track], sounds: Sequence[Float32], spec: ModelSpec, ranges: Ranges) -> dict[str, float]:
    rate = spec.sample_rate
    depth, lag = np.array([
        tone.vibrato(
            sounds[i], rate, notes_of(tracks[i], spec), tracks[i].rate_hz, sounding(tracks[i], spec, ranges)
        )
        for i in of_kind(tracks, "vibrato")
    ]).T  # fmt: skip
    glides = [
        tone.glide_lag_ms(sounds[i], rate, notes_of(tracks[i], spec), sounding(tracks[i], spec, ranges))
        for i in of_kind(tracks, "glide")
    ]
    return {
        "vibrato_depth": float(np.median(depth)),
        "vibrato_lag_ms": float(np.median(lag)),
        "glide_lag_ms": median(glides),
    }


def dynamics(
    tracks: Sequence[Track], sounds: Sequence[Float32], spec: ModelSpec, ranges: Ranges, lag: int
) -> dict[str, float]:
    rate, names = spec.sample_rate, spec.channel_names
    loudness = names.index("loudness")
    asked_loud: list[np.ndarray] = []
    heard_loud: list[np.ndarray] = []
    asked_bright: list[np.ndarray] = []
    heard_bright: list[np.ndarray] = []
    single: list[float] = []
    for i in of_kind(tracks, "swell", "phrase", "brightening"):
        found = descriptors.describe(sounds[i], rate)
        heard = dict(zip(descriptors.NAMES, found.T, strict=True))
        if tracks[i].kind != "brightening":
            asked_loud.append(tracks[i].channels[:, loudness])
            heard_loud.append(heard["loudness"])
        if "brightness" in names and tracks[i].kind != "swell":
            hops = tone.whole(sounding(tracks[i], spec, ranges), 8)
            asked_bright.append(tracks[i].channels[hops, names.index("brightness")])
            heard_bright.append(heard["brightness"][hops])
            if tracks[i].kind == "brightening":
                single.append(correlation(asked_bright[-1], heard_bright[-1]))
    begin, end = round(ONSET_REST_S * rate / HOP), round((ONSET_REST_S + ONSET_SOUND_S) * rate / HOP)
    rises, rests = [], []
    for i in of_kind(tracks, "onset"):
        steady = (begin + (end - begin) // 2) * HOP
        rises.append(pitched.rise_ms(sounds[i][: end * HOP], rate, begin * HOP, steady) + 1000 * lag / rate)
        rests.append(sounds[i][end * HOP + round(REST_S * rate) :])
    return {
        "loudness_correlation": correlation(np.concatenate(asked_loud), np.concatenate(heard_loud)),
        **(
            {
                "brightness_correlation": correlation(np.concatenate(asked_bright), np.concatenate(heard_bright)),
                "brightness_correlation_note": median(single),
            }
            if asked_bright
            else {}
        ),
        "response_ms": float(np.median(rises)),
        "response_ms_worst": float(np.max(rises)),
        "rest_dbfs": pitched.dbfs(float(np.sqrt(np.mean(np.concatenate(rests).astype(np.float64) ** 2)))),
    }


def correlation(asked: np.ndarray, heard: np.ndarray) -> float:
    """Pearson's; nan where one of them never moved."""
    if len(asked) < 3 or np.ptp(asked) == 0 or np.ptp(heard) == 0:
        return float("nan")
    return float(np.corrcoef(asked.astype(np.float64), heard.astype(np.float64))[0, 1])


def median(values: Sequence[float]) -> float:
    """Of those that are numbers; nan if none is."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.median(finite)) if finite else float("nan")


def spread(rows: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Over the seeds, figure by figure."""
    out: dict[str, Spread] = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows], np.float64)
        if np.isfinite(values).any():
            out[name] = [float(f(values)) for f in (np.nanmedian, np.nanmin, np.nanmax)]
        else:
            out[name] = [float(values[0])] * 3
    return out


def scores(
    players: Mapping[str, Player], spec: ModelSpec, ranges: Mapping[str, Ranges], seeds: int = 3, share: float = 1.0,
    stress_s: float = 600.0,
) -> dict[str, Any]:  # fmt: skip
    """{style: {player: {figure: Spread}}} on the same tracks for every player; a model without styles has one, "".

    ranges: by style. stress_s: seconds of adversarial controls of "model" over all seeds and styles; of any other
    player, a tenth.
    """
    styles = spec.styles or ("",)
    out: dict[str, Any] = {}
    for index, style in enumerate(styles):
        out[style] = {}
        for name, player in players.items():
            rows = [figures(player, spec, ranges[style], seed, index, share) for seed in range(seeds)]
            seconds = stress_s / seeds / len(styles) * (1 if name == "model" else 0.1)
            for seed, row in enumerate(rows):
                row.update(stress.figures(player, Composer(spec, ranges[style]), seconds, seed, index))
            out[style][name] = spread(rows)
    return out
