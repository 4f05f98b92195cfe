"""The camera's own delay from claps: how much later the hands meet in its images than they are heard.

In: a recording with image and sound on one clock, or its poses and its sound. Out: ClapReport. A run begins with clicks
from the loudspeaker, by which the audio device's round trip is known as well. Knows no camera, device or terminal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from livemove.body.landmarks import HIPS, SHOULDERS, WRISTS
from livemove.capture.landmarker import Landmarker
from livemove.contracts import CameraError, Float32, Float64, PoseFrame
from livemove.media import sound_file, video_file

RATE = 48000

CLICKS_S = (1.0, 1.6, 2.3, 3.1, 3.8)
"""When the loudspeaker clicks; never twice at one distance, so that no click is taken for another."""
SILENT_S = 5.0
"""From here on the loudspeaker is silent, and claps count."""
LENGTH_S = 25.0

CLICK_HZ, CLICK_S = 2000.0, 0.004

LOUD = 0.2
"""A clap or click is where the level passes this share of the loudest ..."""
ABOVE_NOISE = 10.0
"""... and this many times the median level ..."""
QUIET_S = 0.2
"""... after having been below for so long."""

TOGETHER = 0.5
"""Wrists meet where their distance falls below this, in torso lengths, and rises again."""

LATEST_S, EARLIEST_S = 0.4, -0.03
"""What is seen belongs to what is heard if it is so much later."""

FEWEST = 4


@dataclass(frozen=True)
class ClapReport:
    """Milliseconds; claps, clicks: how many each is the median of. *_spread_ms: half of what the middle half spans.

    camera_ms  from the hands' meeting to their image's arrival; None: fewer than FEWEST claps were seen and heard
    round_trip_ms  from when a click should have been in the air, by what the sound system says, to when the microphone
               heard it, by what it says: what both do not tell; None: not heard
    """

    camera_ms: float | None
    camera_spread_ms: float
    claps: int
    round_trip_ms: float | None
    round_trip_spread_ms: float
    clicks: int


def clicks() -> Float32:
    """float32 [samples, 1] at RATE: what is played while it is recorded; silence from SILENT_S to LENGTH_S."""
    out = np.zeros((round(LENGTH_S * RATE), 1), np.float32)
    at = np.arange(round(CLICK_S * RATE)) / RATE
    click = 0.5 * np.sin(2 * np.pi * CLICK_HZ * at) * np.exp(-at / 0.001)
    for start_s in CLICKS_S:
        out[round(start_s * RATE) :][: len(click), 0] = click
    return out


def measure(recording: Path, pose_model: Path | None, progress: Callable[[float, float], None]) -> ClapReport:
    """Of a video with the microphone's sound, played to `clicks`. Raises CameraError, PoseModelError, MediaError."""
    sound = np.concatenate([block.mean(axis=1) for block in sound_file.stereo_blocks(recording, RATE)])
    first_s = _first_frame_s(recording)  # both readers count from there, the clicks from where the sound begins
    sound = np.concatenate([np.zeros(round(RATE * first_s), np.float32), sound])
    total_s, poses = len(sound) / RATE, list[PoseFrame]()
    with Landmarker("full", pose_model) as landmarker:
        for time_s, image in video_file.frames(recording):
            poses.append(landmarker.find(image, first_s + time_s))
            progress(min(time_s, total_s), total_s)
    if not any(pose.people for pose in poses):
        raise CameraError("nobody was seen: stand so that the camera sees your hands, and clap in front of your chest")
    return report(poses, sound)


def _first_frame_s(recording: Path) -> float:
    """Seconds after the beginning of the sound."""
    with av.open(str(recording)) as container:
        image, sound = container.streams.video[0], container.streams.audio[0]
        begins = [float((each.start_time or 0) * (each.time_base or 0)) for each in (image, sound)]
    return max(begins[0] - begins[1], 0.0)


def report(poses: Sequence[PoseFrame], sound: Float32) -> ClapReport:
    """poses at the times at which their images arrived; sound [samples] at RATE, both from the same moment on."""
    silent = round(SILENT_S * RATE)  # claps and clicks are not equally loud
    clicked_s, clapped_s = onsets(sound[:silent]), SILENT_S + onsets(sound[silent:])
    trips = [at_s - click_s for click_s in CLICKS_S for at_s in clicked_s if EARLIEST_S < at_s - click_s < LATEST_S]
    met_s = meetings(poses)
    late = list[float]()
    for clap_s in clapped_s:
        after = met_s[(met_s - clap_s > EARLIEST_S) & (met_s - clap_s < LATEST_S)]
        if len(after):
            late.append(float(after[0] - clap_s))
    camera_ms, camera_spread_ms = _middle(late)
    trip_ms, trip_spread_ms = _middle(trips)
    return ClapReport(camera_ms, camera_spread_ms, len(late), trip_ms, trip_spread_ms, len(trips))


def _middle(seconds: list[float]) -> tuple[float | None, float]:
    """(median, half of the middle half's span) in ms; None for too few."""
    if len(seconds) < FEWEST:
        return None, math.nan
    low, middle, high = 1e3 * np.percentile(seconds, [25, 50, 75])
    return float(middle), float(0.5 * (high - low))


def onsets(sound: Float32) -> Float64:
    """Seconds at which something short and loud begins, in sound float32 [samples] at RATE."""
    level = np.abs(np.diff(sound, prepend=np.float32(0)))  # of a clap, what voices and hum have little of
    least = max(LOUD * float(level.max(initial=0.0)), ABOVE_NOISE * float(np.median(level)), 1e-4)
    loud = np.flatnonzero(level > least)
    return loud[np.diff(loud, prepend=-RATE) > QUIET_S * RATE] / RATE


def meetings(poses: Sequence[PoseFrame]) -> Float64:
    """Seconds at which the wrists are nearest to each other, between frames: where the straight line of their approach
    crosses that of their parting, each through two frames, for a clap turns within less than a frame."""
    seen = [pose for pose in poses if pose.people]
    times = np.array([pose.capture_s for pose in seen])
    apart = np.array([_apart(pose) for pose in seen])
    found: list[float] = []
    for i in range(3, len(seen) - 3):
        near = apart[i - 2 : i + 3]
        if apart[i] >= TOGETHER or apart[i] > near.min() or apart[i - 3 : i + 4].max() < apart[i] + 0.2:
            continue
        if found and times[i] - found[-1] < QUIET_S:
            continue
        down = (apart[i - 1] - apart[i - 2]) / (times[i - 1] - times[i - 2])
        up = (apart[i + 2] - apart[i + 1]) / (times[i + 2] - times[i + 1])
        if down >= 0.0 or up <= 0.0:
            continue
        cross = (apart[i + 1] - up * times[i + 1] - apart[i - 1] + down * times[i - 1]) / (down - up)
        found.append(float(min(max(cross, times[i - 1]), times[i + 1])))
    return np.array(found)


def _apart(pose: PoseFrame) -> float:
    """Of the wrists, in torso lengths."""
    world = pose.world[0]
    torso = np.linalg.norm(world[list(SHOULDERS)].mean(axis=0) - world[list(HIPS)].mean(axis=0))
    return float(np.linalg.norm(world[WRISTS[0]] - world[WRISTS[1]]) / max(torso, 1e-6))
