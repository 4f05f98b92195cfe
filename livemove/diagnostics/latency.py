"""The lag of a take: how late the sound followed it, from what, how steadily, and where it overshot.

In: a take. Out: a LatencyReport. Everything is measured on the take's own clock: landmarks as they were captured, hops
as they were made, sound when the converter played it. Must not know devices, sessions or the terminal.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from livemove.body.features import FEATURES, FeatureStream
from livemove.body.mapping import PITCH_UNIT, Mapping, load_mapping
from livemove.body.sources import other_side
from livemove.bundle import find_bundle, load_bundle
from livemove.contracts import HOP, Float64, TakeError
from livemove.diagnostics.delay import Delay, delay_of, windows
from livemove.diagnostics.pitch import yin
from livemove.takes.folder import samples24
from livemove.takes.reading import Take

STEERING = ("octave", "scale", "root", "swap_hands")
"""Of Controls, what moves the pitch of a body."""

WINDOW_S, STEP_S = 6.0, 2.0
"""Windows in which the lag is measured again, for its spread."""

SHORT_S = 2.0
"""Windows over which the lag's jitter is told; each begins in the middle of the last."""

MOVING = 3.0
"""A window counts if the pitch asked for moves by so many semitones per second (rms): a delay shows in slopes alone."""

SURE = 0.8
"""Correlation of movement and sound in a whole take from which on one is taken to follow the other."""

STILL_CENTS, STILL_S = 15.0, 0.6
"""A hand is still where its pitch stays within so many cents either way for so long; slow drift is taken out."""

FAST_CENTS_S, REST_CENTS_S, RESTS_S = 800.0, 100.0, 0.3
"""A stop: faster than the first, then slower than the second within two poses, for RESTS_S."""

SETTLED = 0.05
"""Settled: within this share of the move, or 20 cents, and staying there."""


class Spread(TypedDict):
    """Milliseconds over windows of WINDOW_S; confidence: median correlation of movement and sound, 1 is certain."""

    median: float
    p05: float
    p95: float
    sd: float
    windows: int
    confidence: float


class Jitter(TypedDict):
    """Milliseconds: standard deviation of the lag over windows of SHORT_S, and what of it the estimator adds itself
    (rms of its standard deviations); None with fewer than three windows that move."""

    sd: float | None
    own: float | None
    windows: int


class Stops(TypedDict):
    count: int
    overshoot_cents: float | None
    overshoot_share: float | None
    settled_ms: float | None


class LatencyReport(TypedDict):
    """What `livemove latency TAKE --json` prints. Milliseconds and cents; None: the take does not show it.

    parts_ms adds up to lag_ms: "camera" (its own delay, if known), "pose" (waiting for the pose model, and the model,
    until the first hop), "next pose" (a pose plays until the next one is there), "ring" (hop begun to its block
    asked for), "device" (to the converter), "prediction" (what filter and look-ahead add, mostly less than nothing),
    "mapping" (its smoothing), "network" (its response to a new pitch, and the limiter's look-ahead) and "rest" (what
    these do not explain). Lag, prediction, mapping and network are medians over the same windows.
    age_ms: pose captured to sound heard, what the session's report calls motion to sound.
    """

    take: str
    seconds: float
    source: str
    look_ahead_ms: float
    camera_hz: float
    age_ms: dict[str, float]
    lag_ms: Spread
    jitter_ms: Jitter
    parts_ms: dict[str, float | None]
    still_cents_rms: float | None
    still_seconds: float
    stops: Stops
    ripple: float | None


@dataclass(frozen=True)
class Traces:
    """Semitones over seconds, each with its own times: what the landmarks asked for, what hops got, what sounded.

    asked, source and sound are NaN where the limb was out of view: what is heard then, held or easing to rest, follows
    no movement.
    """

    asked_s: Float64
    asked: Float64
    hop_s: Float64
    source: Float64
    channel: Float64
    sound: Float64


def measure(take: Take, camera_delay_ms: float | None = None) -> tuple[LatencyReport, Traces]:
    """Raises TakeError: no pitch that a body feature plays, too little movement or sound to tell a lag from."""
    mapping, channel, steering = _pitch(take)
    hops, heard_s, begun = _heard(take, steering)
    traces = _traces(take, mapping, channel, bool(steering[3]), hops, heard_s)
    capture_s, began_s = hops["capture_s"], hops["began_s"]
    age_s = heard_s - capture_s
    found = _windows(traces, WINDOW_S, STEP_S)
    if not found:
        raise TakeError("the movement is not found in the sound: play a pitch up and down for half a minute")
    lag = _spread(found)
    used = {
        float(c): float(b) for c, b in zip(capture_s[::-1], began_s[::-1], strict=True)
    }  # the first hop of each pose
    first_s = np.array([used[float(c)] for c in capture_s])
    parts: dict[str, float | None] = {
        "camera": camera_delay_ms,
        "pose": 1e3 * float(np.median(first_s - capture_s)),
        "next pose": 1e3 * float(np.mean(began_s - first_s)),
        "ring": 1e3 * float(np.median(begun - began_s)),
        "device": 1e3 * float(np.median(heard_s - begun)),
    }
    stages = _stages(traces, [start_s for start_s, _ in found])
    known = sum(value for name, value in parts.items() if value is not None and name != "camera")
    parts |= {"prediction": 1e3 * stages[0] - known, "mapping": 1e3 * stages[1], "network": 1e3 * stages[2]}
    parts["rest"] = (
        lag["median"] + (camera_delay_ms or 0.0) - sum(value for value in parts.values() if value is not None)
    )
    late = camera_delay_ms or 0.0
    lag["median"], lag["p05"], lag["p95"] = lag["median"] + late, lag["p05"] + late, lag["p95"] + late
    noise, still_s = still_noise(traces)
    camera_hz = 1.0 / float(np.median(np.diff(traces.asked_s)))
    report = LatencyReport(
        take=str(take.path),
        seconds=take.seconds,
        source=FEATURES[mapping.routes[channel].places[0]],
        look_ahead_ms=1e3 * float(np.median(hops["look_ahead_s"]))
        if "look_ahead_s" in (hops.dtype.names or ())
        else 0.0,
        camera_hz=camera_hz,
        age_ms={"p50": 1e3 * float(np.median(age_s)), "p95": 1e3 * float(np.percentile(age_s, 95))},
        lag_ms=lag,
        jitter_ms=jitter(traces),
        parts_ms=parts,
        still_cents_rms=noise,
        still_seconds=still_s,
        stops=stops(traces),
        ripple=ripple(traces.channel, HOP / take.info.model_rate, camera_hz),
    )
    return report, traces


# --- from rows to traces ------------------------------------------------------------------------------------


def _pitch(take: Take) -> tuple[Mapping, int, tuple[int, ...]]:
    """(the first model's mapping as it was steered mostly, its pitch channel, that steering). Raises TakeError."""
    model = take.info.models[0]
    spec = load_bundle(find_bundle(model.path if Path(model.path).is_dir() else model.name)).spec
    if not model.mapping:
        raise TakeError(f"{take.path}: {model.name} plays without a mapping; its lag needs a channel that is a pitch")
    mapping = load_mapping(take.path / model.mapping, spec, FEATURES)
    channel = next((i for i, each in enumerate(spec.channels) if each.unit == PITCH_UNIT), None)
    feature = None if channel is None else mapping.routes[channel].input
    if channel is None or feature is None or feature >= len(FEATURES):
        raise TakeError(f"{take.path}: no body feature alone plays the pitch, so the sound's lag cannot be told")
    names = take.hops.dtype.names or ()
    rows = [tuple(int(row[name]) if name in names else 0 for name in STEERING) for row in take.hops]
    if not rows:
        raise TakeError(f"{take.path}: this take holds no movement")
    steering = Counter(rows).most_common(1)[0][0]
    mapping.steer(*steering[:3])
    return mapping, channel, steering


def _heard(take: Take, steering: tuple[int, ...]) -> tuple[npt.NDArray[np.void], Float64, Float64]:
    """(hops that were heard as usual, when the middle of each was heard, when its block was asked for)."""
    hops, blocks, rate = take.hops, take.blocks, take.info.rate
    names = hops.dtype.names or ()
    at = np.searchsorted(blocks["read"], hops["first_sample"], side="right") - 1
    inside = (at >= 0) & (hops["first_sample"] < blocks["read"][-1] + blocks["frames"][-1])
    good = inside & np.isfinite(hops["capture_s"]) & (hops["sounding"] == 0) & (hops["samples"] > 0)
    for name, value in zip(STEERING, steering, strict=True):
        if name in names:
            good &= hops[name] == value
    for name in ("mute", "freeze"):
        if name in names:
            good &= hops[name] == 0
    if good.sum() < 2 * WINDOW_S / (HOP / take.info.model_rate):
        raise TakeError(f"{take.path}: less than {2 * WINDOW_S:.0f} s of it were played by somebody in view")
    hops, at = hops[good], at[good]
    heard_s = blocks["dac_s"][at] + (hops["first_sample"] - blocks["read"][at]) / rate
    return hops, heard_s + 0.5 * HOP / take.info.model_rate, blocks["start_s"][at]


def _traces(
    take: Take, mapping: Mapping, channel: int, swapped: bool, hops: npt.NDArray[np.void], heard_s: Float64
) -> Traces:
    sides = [FEATURES.index(other_side(name) if swapped else name) for name in FEATURES]
    stream, inputs = FeatureStream(), np.zeros(len(FEATURES) + len(mapping.external), np.float32)
    asked: list[tuple[float, float]] = []
    feature = mapping.routes[channel].input
    assert feature is not None  # `_pitch` has seen to it
    for frame in take.frames():
        stream.update(frame)
        inputs[: len(FEATURES)] = stream.measured()[sides]
        seen = frame.people > 0 and stream.seen()[sides][feature]
        asked.append((frame.capture_s, float(mapping.step(inputs, math.inf)[channel]) if seen else math.nan))
    times, values = np.array(asked).T
    out_of_view = np.isnan(values)[np.minimum(np.searchsorted(times, hops["capture_s"]), len(times) - 1)]
    source = np.empty(len(hops))
    for i, row in enumerate(hops):
        inputs[: len(FEATURES)] = row["sources"][sides]
        source[i] = mapping.step(inputs, math.inf)[channel]
    played = hops["channels"][:, channel].astype(np.float64)
    audio = samples24(take.sound()).mean(axis=1)
    starts = np.concatenate([[0], np.cumsum(take.blocks["frames"])[:-1]])
    at = np.searchsorted(take.blocks["read"], hops["first_sample"], side="right") - 1
    centres = (
        starts[at]
        + (hops["first_sample"] - take.blocks["read"][at])
        + 0.5 * HOP * take.info.rate / take.info.model_rate
    )
    sound = yin(audio, take.info.rate, centres.astype(np.float64), _recent(played))
    loud = np.array([np.abs(audio[max(int(c) - HOP, 0) : int(c) + HOP]).max(initial=0.0) for c in centres])
    sound[(loud < 0.01) | out_of_view] = np.nan
    source[out_of_view] = np.nan
    return Traces(times, values, heard_s, source, played, sound)


def _recent(channel: Float64) -> Float64:
    """What the sound should be near: the median of the last five hops, for the network takes a moment."""
    padded = np.concatenate([np.full(4, channel[0]), channel])
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)


# --- what they show -----------------------------------------------------------------------------------------


def _spread(found: list[tuple[float, Delay]]) -> Spread:
    lags = 1e3 * np.array([each.seconds for _, each in found])
    low, middle, high = np.percentile(lags, [5, 50, 95]).tolist()
    return Spread(
        median=middle, p05=low, p95=high, sd=float(lags.std()), windows=len(lags),
        confidence=float(np.median([each.correlation for _, each in found])),
    )  # fmt: skip


def _stages(traces: Traces, starts_s: list[float]) -> tuple[float, float, float]:
    """Seconds from landmarks to features as hops had them, to the channel as it was played, to its sound: medians over
    the windows of WINDOW_S that begin then, so that they are of the movement that the lag is of."""
    t, found = traces, list[tuple[float, float, float]]()
    detuned = delay_of(t.hop_s, t.channel, t.hop_s, t.sound).offset
    for start_s in starts_s:
        inside = (t.hop_s >= start_s) & (t.hop_s < start_s + WINDOW_S)
        at_s = t.hop_s[inside]
        found.append(
            (
                delay_of(t.asked_s, t.asked, at_s, t.source[inside], 0.0).seconds,
                delay_of(t.hop_s, t.source, at_s, t.channel[inside], 0.0).seconds,
                delay_of(t.hop_s, t.channel, at_s, t.sound[inside], detuned).seconds,
            )
        )
    direct, through, voiced = np.median(found, axis=0).tolist()
    return direct, through, voiced


def jitter(traces: Traces) -> Jitter:
    """How steady the lag is, as far as the movement shows it."""
    found = [each for _, each in _windows(traces, SHORT_S, SHORT_S / 2)]
    if len(found) < 3:
        return Jitter(sd=None, own=None, windows=len(found))
    lags, own = (1e3 * np.array([getattr(each, name) for each in found]) for name in ("seconds", "sd_s"))
    return Jitter(sd=float(lags.std(ddof=1)), own=float(np.sqrt(np.mean(own**2))), windows=len(found))


def _windows(traces: Traces, length_s: float, step_s: float) -> list[tuple[float, Delay]]:
    """(beginning, the sound's delay behind the landmarks) of windows in which something moves; none where the sound
    does not follow. A model that plays out of tune is not late for it."""
    t = traces
    try:
        whole = delay_of(t.asked_s, t.asked, t.hop_s, t.sound)
        detuned = delay_of(t.hop_s, t.channel, t.hop_s, t.sound).offset
    except ValueError:
        return []
    if whole.correlation < SURE:
        return []
    return windows(t.asked_s, t.asked, t.hop_s, t.sound, length_s, step_s, MOVING, detuned)


def still_noise(traces: Traces) -> tuple[float | None, float]:
    """(rms in cents of the sound's pitch around its own slow course while the hand was still, seconds of that)."""
    pieces: list[Float64] = []
    seconds = 0.0
    asked = 100 * np.interp(traces.hop_s, traces.asked_s, traces.asked)
    hop_s = float(np.median(np.diff(traces.hop_s)))
    size = round(STILL_S / hop_s)
    for start in range(0, len(asked) - size, size):
        some = slice(start, start + size)
        if not (np.isfinite(asked[some]).all() and np.isfinite(traces.sound[some]).all()):
            continue
        x = np.arange(size) - 0.5 * (size - 1)
        drift = asked[some] - np.polyval(np.polyfit(x, asked[some], 1), x)
        sound = 100 * traces.sound[some]
        if np.abs(drift).max() > STILL_CENTS or np.ptp(asked[some]) > 4 * STILL_CENTS:
            continue
        pieces.append(sound - np.polyval(np.polyfit(x, sound, 2), x))
        seconds += size * hop_s
    return (float(np.sqrt(np.mean(np.concatenate(pieces) ** 2))) if pieces else None), seconds


def stops(traces: Traces) -> Stops:
    """How far the pitch went on after the hand had stopped, and for how long; medians over the stops."""
    cents, times = 100 * traces.asked, traces.asked_s
    speed = np.diff(cents) / np.diff(times)
    channel = 100 * traces.channel
    over, share, settled = list[float](), list[float](), list[float]()
    for i in range(2, len(speed) - 3):
        rests = (times[i + 2 :] <= times[i + 2] + RESTS_S).sum() + i + 2
        last_fast = abs(speed[i]) >= FAST_CENTS_S and abs(speed[i + 1]) < FAST_CENTS_S
        if not last_fast or rests >= len(speed) or not np.abs(speed[i + 2 : rests]).max(initial=0.0) <= REST_CENTS_S:
            continue  # or out of view
        begin = i
        while begin > 0 and speed[begin - 1] * speed[i] > 0 and abs(speed[begin - 1]) > REST_CENTS_S:
            begin -= 1
        end = float(np.median(cents[i + 2 : rests]))
        move = end - cents[begin]
        stop_s = times[i + 1] if abs(speed[i + 1]) < REST_CENTS_S else times[i + 2]
        after = (traces.hop_s >= stop_s) & (traces.hop_s < times[rests - 1])
        if after.sum() < 10 or abs(move) < 100:
            continue
        beyond = (channel[after] - end) * np.sign(move)
        over.append(max(float(beyond.max()), 0.0))
        share.append(over[-1] / abs(move))
        away = np.flatnonzero(np.abs(beyond) > max(SETTLED * abs(move), 20.0))
        settled.append(1e3 * float(traces.hop_s[after][away[-1]] - stop_s) if len(away) else 0.0)
    if not over:
        return Stops(count=0, overshoot_cents=None, overshoot_share=None, settled_ms=None)
    return Stops(
        count=len(over),
        overshoot_cents=float(np.median(over)),
        overshoot_share=float(np.median(share)),
        settled_ms=float(np.median(settled)),
    )


def ripple(pitch: Float64, hop_s: float, camera_hz: float) -> float | None:
    """The line at the camera's rate in the spectrum of a pitch's slope, over the median within 10 Hz; pitch [hops]."""
    slope = np.diff(pitch)
    size = round(4.0 / hop_s)
    if len(slope) < size or camera_hz > 0.4 / hop_s:
        return None
    pieces = np.lib.stride_tricks.sliding_window_view(slope, size)[:: size // 2] * np.hanning(size)
    level = np.sqrt((np.abs(np.fft.rfft(pieces, axis=1)) ** 2).mean(axis=0))
    away = np.abs(np.fft.rfftfreq(size, hop_s) - camera_hz)
    around = float(np.median(level[(away < 10.0) & (away > 1.0)]))
    return float(level[away <= 0.75].max()) / around if around > 0.0 else None


def as_json(report: LatencyReport) -> LatencyReport:
    """The same, with numbers rounded to what they are worth."""

    def rounded(value: object) -> object:
        if isinstance(value, float):
            return round(value, 3)
        return {k: rounded(v) for k, v in value.items()} if isinstance(value, dict) else value  # pyright: ignore

    return rounded(dict(report))  # pyright: ignore[reportReturnType]
