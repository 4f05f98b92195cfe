"""How well a body is predicted: `python -m tests.measure.prediction VIDEO ... [--still VIDEO] [--pose-model FILE]`.

In: videos of dancers. Out: a JSON line each. Of both hands' height, right and left, as the theremin's pitch (1455 cents
per unit): for 20 to 80 ms beyond a pose, the error in cents (median, 90 %, rms) and the lag in ms (least squared
difference) that is left with the predicted features, with the newest pose held, and with a line through the last two;
and for a session with a pose --arrival ms after its frame and a hop heard --heard ms after it was begun, error, lag,
its standard deviation over windows of 2 s with what noise alone adds to it, and the line at the camera's rate, without
look-ahead and with the usual one. The truth is the landmarks' own, smoothed without lag, where the arms are in view.
--still: one image of the video under fresh sensor noise (3 of 255), 250 times: how much its landmarks and the pitch
tremble. The last line is a move of half the arm's reach at steady speed that stops at once: how far the pitch goes on,
and until when.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.signal import savgol_filter

from livemove.body.features import FEATURES, FeatureSpec, FeatureStream
from livemove.capture.landmarker import Landmarker
from livemove.contracts import HOP, PoseFrame
from livemove.diagnostics.delay import delay_of, windows
from livemove.diagnostics.latency import MOVING, SHORT_S, ripple
from livemove.media import video_file

CENTS = 2400 / 1.65
HANDS = [FEATURES.index(name) for name in ("right_hand_height", "left_hand_height")]
AHEAD_S = (0.02, 0.04, 0.06, 0.08)
HOP_S = HOP / 48000
ARRIVAL_S, HEARD_S = 0.02, 0.026
SETTLED_S = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, nargs="*")
    parser.add_argument("--still", type=Path, action="append", default=[], metavar="VIDEO")
    parser.add_argument("--pose-model", type=Path)
    parser.add_argument("--seconds", type=float, default=40.0, help="of each video")
    parser.add_argument("--arrival", type=float, default=20.0, help="ms: frame to pose")
    parser.add_argument("--heard", type=float, default=26.0, help="ms: hop begun to heard; 36 with a block of 512")
    asked = parser.parse_args()
    for video in asked.video:
        with Landmarker("full", asked.pose_model) as landmarker:
            images = video_file.frames(video)
            frames = [landmarker.find(image, at) for at, image in images if at < asked.seconds]
        print(
            json.dumps({"video": video.name, **of_poses(frames, 1e-3 * asked.arrival, 1e-3 * asked.heard)}), flush=True
        )
    for video in asked.still:
        print(json.dumps({"still": video.name, **trembling(video, asked.pose_model)}), flush=True)
    print(json.dumps({"stop": {f"{1e3 * length_s:.0f} ms": stop(length_s) for length_s in (0.25, 0.4, 0.5)}}))


def of_poses(frames: list[PoseFrame], arrival_s: float, heard_s: float) -> dict[str, Any]:
    """{"ahead": errors for AHEAD_S, "session": for each look-ahead}; frames of one video."""
    frames = [frame for frame in frames if frame.people]
    times = np.array([frame.capture_s for frame in frames])
    raw, seen = measured(frames)
    truth = Truth(CubicSpline(times, savgol_filter(raw, 5, 3, axis=0)), times[~seen.all(axis=1)])
    inside = (times > times[0] + SETTLED_S) & (times < times[-1] - 0.2)
    slope = np.diff(raw, axis=0, prepend=raw[:1]) / np.diff(times, prepend=times[0] - 1.0)[:, None]
    stream, rows = FeatureStream(), []
    for frame in frames:
        stream.update(frame)  # without a time at which it is heard `at` is the body's then, not some moment's before
        rows.append([stream.at(frame.capture_s + ahead_s)[HANDS] for ahead_s in AHEAD_S])
    ahead: dict[str, Any] = {}
    for i, ahead_s in enumerate(AHEAD_S):
        at_s = times[inside] + ahead_s
        found = {"predicted": np.array(rows)[:, i], "held": raw, "line": raw + ahead_s * slope}
        ahead[f"{1e3 * ahead_s:.0f} ms"] = {
            name: figures(at_s, values[inside].astype(np.float64), truth) for name, values in found.items()
        }
    session: dict[str, Any] = {}
    for look_ahead_s in (0.0, AHEAD_S[-1]):
        at_s, played = play(frames, FeatureSpec(look_ahead_s=look_ahead_s), arrival_s, heard_s)
        some = (at_s > times[0] + SETTLED_S) & (at_s < times[-1] - 0.2)
        lines = [ripple(pitch, HOP_S, 1.0 / float(np.median(np.diff(times)))) for pitch in played[some].T]
        session[f"{1e3 * look_ahead_s:.0f} ms"] = {
            **figures(at_s[some], played[some], truth),
            "jitter_ms": jitter(at_s[some], played[some], truth, raw),
            "camera_line": [None if line is None else round(line, 1) for line in lines],
        }
    return {"frames": len(frames), "ahead": ahead, "session": session}


@dataclass
class Truth:
    """The hands' heights over time [n, 2], and the times of the frames in which one of the arms was out of view."""

    heights: CubicSpline
    unseen_s: np.ndarray

    def known(self, at_s: np.ndarray, before_s: float, after_s: float) -> np.ndarray:
        """bool [n]: both arms in view from before_s before each time until after_s after it."""
        first, last = (np.searchsorted(self.unseen_s, at_s + away_s) for away_s in (-before_s, after_s))
        return first == last


def measured(frames: list[PoseFrame]) -> tuple[np.ndarray, np.ndarray]:
    """(the hands' heights as the landmarks have them, float64 [frames, 2]; whether each arm was in view)."""
    stream, heights, seen = FeatureStream(), list[np.ndarray](), list[np.ndarray]()
    for frame in frames:
        stream.update(frame)
        heights.append(stream.measured()[HANDS].astype(np.float64))
        seen.append(stream.seen()[HANDS])
    return np.array(heights), np.array(seen)


def play(
    frames: list[PoseFrame], spec: FeatureSpec, arrival_s: float = ARRIVAL_S, heard_s: float = HEARD_S
) -> tuple[np.ndarray, np.ndarray]:
    """(times at which hops are heard [hops], the hands' heights then [hops, 2]), as a session makes them."""
    stream, newest, times, heights = FeatureStream(spec), 0, list[float](), list[np.ndarray]()
    begun_s = frames[0].capture_s + arrival_s
    while begun_s < frames[-1].capture_s:
        at_s = begun_s + heard_s
        while newest < len(frames) and frames[newest].capture_s + arrival_s <= begun_s:
            stream.update(frames[newest], at_s)
            newest += 1
        times.append(at_s)
        heights.append(stream.at(at_s)[HANDS].astype(np.float64))
        begun_s += HOP_S
    return np.array(times), np.array(heights)


def figures(at_s: np.ndarray, found: np.ndarray, truth: Truth) -> dict[str, Any]:
    """Errors in cents and lag in ms of found [n, 2] at at_s [n], where both arms were in view."""
    known = truth.known(at_s, 0.2, 0.08)
    at_s, found = at_s[known], found[known]
    errors = CENTS * np.abs(found - truth.heights(at_s))
    grid = np.arange(at_s[0] - 0.3, at_s[-1] + 0.3, 0.002)
    grid = grid[(grid >= truth.heights.x[0]) & (grid <= truth.heights.x[-1])]
    heights = np.where(truth.known(grid, 0.06, 0.06)[:, None], truth.heights(grid), np.nan)
    lags = [1e3 * delay_of(grid, heights[:, hand], at_s, found[:, hand]).seconds for hand in range(found.shape[1])]
    return {
        "cents": [round(float(each)) for each in (*np.percentile(errors, [50, 90]), np.sqrt((errors**2).mean()))],
        "lag_ms": [round(lag) for lag in lags],
    }


def jitter(at_s: np.ndarray, found: np.ndarray, truth: Truth, raw: np.ndarray) -> list[list[float] | None]:
    """[standard deviation of the lag over windows, what noise adds to it] in ms of each hand, against the landmarks raw
    [frames, 2] as they are; None: it hardly moves."""
    times = np.asarray(truth.heights.x, np.float64)
    asked = np.where(truth.known(times, 0.0, 0.0)[:, None], raw, np.nan)
    heard = np.where(truth.known(at_s, 0.1, 0.0)[:, None], found, np.nan)
    spreads: list[list[float] | None] = []
    for hand in range(2):
        a, b = (0.01 * CENTS * each[:, hand] for each in (asked, heard))
        lags = [each for _, each in windows(times, a, at_s, b, SHORT_S, SHORT_S / 2, MOVING, 0.0)]
        seconds, own = (1e3 * np.array([getattr(each, name) for each in lags]) for name in ("seconds", "sd_s"))
        spread = (seconds.std(ddof=1), np.sqrt((own**2).mean())) if len(lags) > 2 else None
        spreads.append(spread and [round(float(each), 1) for each in spread])
    return spreads


def trembling(video: Path, pose_model: Path | None) -> dict[str, Any]:
    """Standard deviations of what should stand still: landmarks in torso lengths along x, y, z, pitch in cents."""
    rng = np.random.default_rng(0)
    image = next(islice((image for _, image in video_file.frames(video)), 50, None))
    with Landmarker("full", pose_model) as landmarker:
        noisy = (np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8) for _ in range(250))
        frames = [landmarker.find(each, 0.04 * i) for i, each in enumerate(noisy)]
    world = np.array([frame.world[0] for frame in frames[50:]])
    hips = world[:, [23, 24]].mean(axis=1, keepdims=True)
    torso = float(np.linalg.norm(world[:, [11, 12]].mean(axis=1) - hips[:, 0], axis=1).mean())
    spread = ((world - hips)[:, [7, 8, *range(11, 17), *range(23, 29)]] / torso).std(axis=0).mean(axis=0)
    landmarks = measured(frames)[0][50:]
    _, heights = play(frames, FeatureSpec())
    return {
        "landmarks": [round(float(each), 4) for each in spread],
        "cents_of_landmarks": [round(float(each), 1) for each in CENTS * landmarks.std(axis=0)],
        "cents": [round(float(each), 1) for each in CENTS * heights[round(2.0 / HOP_S) :].std(axis=0)],
    }


def stop(length_s: float) -> dict[str, float]:
    """{"overshoot_percent", "settled_ms"}: the worst over the moments at which a camera of 25 frames may see it."""
    over, settled = 0.0, 0.0
    for phase in np.arange(0.0, 1.0, 0.125):
        times = (np.arange(70) + phase) / 25.0
        frames = [arm(float(at), float(np.clip((at - 1.0) / length_s, 0.0, 1.0)) - 0.5) for at in times]
        at_s, heights = play(frames, FeatureSpec())
        low, high, stop_s = heights[at_s < 0.9, 0][-1], heights[-1, 0], 1.0 + length_s
        beyond = (heights[at_s > stop_s, 0] - high) / (high - low)
        over = max(over, float(beyond.max()))
        away = at_s[at_s > stop_s][np.abs(beyond) > 0.05]
        settled = max(settled, float(away[-1] - stop_s) if len(away) else 0.0)
    return {"overshoot_percent": round(100 * over, 1), "settled_ms": round(1e3 * settled)}


def arm(time_s: float, height: float) -> PoseFrame:
    """Somebody who stands, the stretched right arm at this height: -1 hanging, 0 level, 1 straight up."""
    frame = PoseFrame(capture_s=time_s, people=1)
    for side, out in ((0, 1.0), (1, -1.0)):
        for mark, place in {7: (0.07, -0.72), 11: (0.18, -0.5), 13: (0.2, -0.22), 15: (0.2, 0.03), 23: (0.1, 0.0),
                            25: (0.1, 0.42), 27: (0.1, 0.84)}.items():  # fmt: skip
            frame.world[0, mark + side, :2] = (out * place[0], place[1])
    for mark, length in ((14, 0.28), (16, 0.53)):
        reach = (-length * math.sqrt(1.0 - height**2), -length * height)
        frame.world[0, mark, :2] = frame.world[0, 12, :2] + np.array(reach, np.float32)
    frame.image[0] = 0.5 + 0.3 * frame.world[0]
    frame.visibility[0] = 1.0
    return frame


if __name__ == "__main__":
    main()
