"""How a model answers a dancer: the sound it makes of a clip, scored against the body's beats and a stranger's.

In: a bundle with its engine, a clip. Out: scores, and the sound itself. The chain is render's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from livemove.body.features import FEATURES
from livemove.body.mapping import load_mapping
from livemove.bundle import Bundle
from livemove.contracts import Engine, Float32, Float64, PoseFrame
from livemove.media import video_file
from livemove.offline.render import Player, RenderConfig, Take, Voice, poses_of
from livemove.printable import printable
from training.metrics import beats


@dataclass(frozen=True)
class Watched:
    """A clip as the landmarker saw it: every pose, and until when it was the newest."""

    config: RenderConfig
    poses: Sequence[tuple[PoseFrame, float]]

    @property
    def seconds(self) -> float:
        return self.poses[-1][1] if self.poses else 0.0

    def less(self) -> str:
        """A line if there is less to score than the clip promises; else empty."""
        clip, seen = printable(self.config.clip), sum(pose.people > 0 for pose, _ in self.poses)
        promised_s = video_file.promised_s(self.config.clip)
        if promised_s - self.seconds > video_file.BREAKS_OFF_S:
            return f"{clip}: breaks off after {self.seconds:.1f} of {promised_s:.1f} s"
        if seen < len(self.poses) / 2:
            return f"{clip}: somebody is in view in {100 * seen / len(self.poses):.0f} % of the frames only"
        return ""

    def beats(self) -> Float64:
        """Kinematic beats in seconds of the dancer, where there is one."""
        seen = [pose for pose, _ in self.poses if pose.people]
        world = np.array([pose.world[0] for pose in seen], np.float64).reshape(-1, 33, 3)
        return beats.kinematic_beats(world, np.array([pose.capture_s for pose in seen], np.float64))

    def shifted(self) -> Watched:
        """The same dance begun in its middle: a stranger to the same clock, where no other clip is at hand."""
        half = len(self.poses) // 2
        order = [*self.poses[half:], *self.poses[:half]]
        moved = [
            (dataclasses.replace(pose, capture_s=now.capture_s), until)
            for (pose, _), (now, until) in zip(order, self.poses, strict=True)
        ]
        return Watched(self.config, moved)


def watch(clip: Path, model: Path, pose: str = "full", pose_model: Path | None = None) -> Watched:
    """Every pose of a clip. Raises CameraError, PoseModelError."""
    config = RenderConfig(clip=clip, output=Path(), model=model, pose=pose, pose_model=pose_model)
    with contextlib.closing(poses_of(config, 1 / video_file.probe(clip).fps, Take())) as poses:
        return Watched(config, list(poses))


def play(bundle: Bundle, engine: Engine, watched: Watched) -> Float32:
    """Audio of the clip through features, mapping and engine, as `livemove render` makes it, before the limiter."""
    engine.reset()
    mapping = load_mapping(bundle.mapping_path, bundle.spec, FEATURES)
    player = Player(watched.config, [Voice(watched.config, bundle.spec, engine, mapping)])
    return np.concatenate([audio[:, 0] for pose, until_s in watched.poses for audio in player.play(pose, until_s)])


def scores(bundle: Bundle, engine: Engine, watched: Watched, stranger: Watched | None = None) -> dict[str, object]:
    """Beat scores of the sound a clip makes, and the same of the sound a stranger's poses make: the control.

    {"seconds", "kinematic_beats", "musical_beats", "alignment", "coverage", "hit", "shuffled": {the last four of the
    stranger's sound against this dancer's beats}, "ignores_dancer": the control is not worse}. stranger None: this
    dance begun in its middle. Of dances of different length, both sounds are scored on the time the shorter one lasts.
    """
    stranger = stranger or watched.shifted()
    seconds = min(watched.seconds, stranger.seconds)
    kinematic = watched.beats()
    kinematic = kinematic[kinematic < seconds]

    def of(sound: Float32) -> dict[str, float]:
        rate = bundle.spec.sample_rate
        musical = beats.musical_beats(sound[: round(seconds * rate)], rate)
        aligned = beats.alignment(kinematic, musical)
        return {"musical_beats": len(musical), "alignment": aligned, **beats.of_dance(kinematic, musical)}

    own = of(play(bundle, engine, watched))
    shuffled = of(play(bundle, engine, stranger))
    return {
        "seconds": seconds,
        "kinematic_beats": len(kinematic),
        **own,
        "shuffled": shuffled,
        "ignores_dancer": shuffled["alignment"] >= own["alignment"],
    }
