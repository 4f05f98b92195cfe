"""Two dancers in one video, made from one dancer's: cut out along the skeleton, mirrored, recoloured, moved, one before
the other. Who is where is known.

In: a clip of one dancer, and the way each goes. Out: images with the landmarks of both. Of livemove it knows the
landmarker, which follows the one dancer, and the reader of video files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from livemove.body.landmarks import BONES, EARS, HIPS, PAIRS, SHOULDERS
from livemove.capture.landmarker import Landmarker
from livemove.contracts import PoseFrame
from livemove.media import video_file

FPS = 25
WIDTH = 1.9
"""Of the stage, in heights."""
SEEN = 0.4
"""A dancer of whom this share of the trunk's and legs' landmarks is neither covered nor outside is to be seen."""


@dataclass(frozen=True)
class Moment:
    """One frame of the source: image uint8 RGB, marks float64 [33, 2] in pixels, and the pose they are of."""

    image: np.ndarray
    marks: np.ndarray
    pose: PoseFrame


@dataclass(frozen=True)
class Duet:
    """One frame of two: image; marks float64 [2, 33, 2], pixels of dancer 1 and 2; seen: whether each is to be seen."""

    time_s: float
    image: np.ndarray
    marks: np.ndarray
    seen: tuple[bool, bool]


Way = Callable[[float], tuple[float, float, int]]
"""Seconds -> (where dancer 1 stands, 0..1 of the stage's width, where dancer 2 does; which is in front, 0 or 1)."""


def apart(time_s: float) -> tuple[float, float, int]:
    """Side by side."""
    return 0.27, 0.73, 0


def crossing(time_s: float) -> tuple[float, float, int]:
    """Each goes to the other's place and back, every 3 s, now the one in front and now the other."""
    across = 0.23 * np.cos(np.pi * time_s / 3.0)
    return 0.5 - across, 0.5 + across, int(time_s // 3.0) % 2


def meeting(time_s: float) -> tuple[float, float, int]:
    """They come together, stay there for 1.5 s, one before the other, and go back to where they came from."""
    apart = 0.02 + 0.21 * np.clip((np.cos(np.pi * time_s / 3.0) + 0.7) / 1.2, 0.0, 1.0)
    return 0.5 - apart, 0.5 + apart, 1


def leaving(time_s: float) -> tuple[float, float, int]:
    """Dancer 2 goes off on the right for almost 2 s of every 6, and comes back."""
    return 0.3, 0.7 + 0.7 * max(np.sin(np.pi * (time_s % 6.0 - 2.0) / 3.0), 0.0) * (2.0 <= time_s % 6.0 < 5.0), 0


WAYS: dict[str, Way] = {"apart": apart, "crossing": crossing, "meeting": meeting, "leaving": leaving}


_MIRRORED = np.arange(33)
for _left, _right in PAIRS:
    _MIRRORED[[_left, _right]] = _right, _left


def moments(clip: Path, pose_model: Path | None, count: int) -> list[Moment]:
    """The first frames of a clip in which there is a dancer, with their landmarks."""
    found: list[Moment] = []
    with Landmarker(path=pose_model, threads=2) as landmarker:
        for time_s, image in islice(video_file.frames(clip), count):
            frame = landmarker.find(image, time_s)
            if frame.people:
                marks = frame.image[0, :, :2].astype(np.float64) * image.shape[1::-1]
                found.append(Moment(np.ascontiguousarray(image), marks, frame))
    return found


def duet(source: Sequence[Moment], way: Way, recoloured: bool = True, later: int = 40) -> Iterator[Duet]:
    """The first dancer as in the source; the second mirrored, so many frames later, in other colours if asked for."""
    height = source[0].image.shape[0]
    width = round(WIDTH * height / 2) * 2
    stage = np.empty((height, width, 3), np.float32)
    stage[:] = np.linspace(150, 90, height, dtype=np.float32)[:, None, None]
    stage += np.random.default_rng(0).normal(0, 3, stage.shape).astype(np.float32)
    for number in range(len(source) - later):
        one, two = source[number], source[number + later]
        flipped = two.image[:, ::-1]
        marks = (two.marks * (-1.0, 1.0) + (two.image.shape[1] - 1.0, 0.0))[_MIRRORED]
        if recoloured:
            dark = 1.0 - flipped.max(axis=2, keepdims=True) / 255.0  # the faces stay faces
            flipped = np.clip(flipped + dark * np.array([120, 30, 20]), 0, 255)
        first, second, front = way(number / FPS)
        placed = [
            _placed(one.image, one.marks, first * width, width),
            _placed(flipped.astype(np.uint8), marks, second * width, width),
        ]
        image = stage.copy()
        for which in (1 - front, front):
            shown, alpha, _ = placed[which]
            image += alpha[..., None] * (shown - image)
        whole = np.stack([marks for _, _, marks in placed])
        seen = [_seen(marks, None if which == front else placed[front][1], (width, height))
                for which, (_, _, marks) in enumerate(placed)]  # fmt: skip
        yield Duet(number / FPS, image.astype(np.uint8), whole, (seen[0], seen[1]))


def each_alone(source: Sequence[Moment], later: int = 40) -> list[PoseFrame]:
    """What the two of `duet` do, at the same times, as the landmarker sees each without the other: places in the image
    are the source's."""
    frames: list[PoseFrame] = []
    for number in range(len(source) - later):
        one, two = source[number].pose, source[number + later].pose
        frame = PoseFrame(number / FPS, number, 2)
        frame.image[0], frame.world[0], frame.visibility[0] = one.image[0], one.world[0], one.visibility[0]
        frame.image[1] = (two.image[0] * (-1.0, 1.0, 1.0) + (1.0, 0.0, 0.0))[_MIRRORED]
        frame.world[1] = (two.world[0] * (-1.0, 1.0, 1.0))[_MIRRORED]
        frame.visibility[1] = two.visibility[0][_MIRRORED]
        frames.append(frame)
    return frames


def _placed(image: np.ndarray, marks: np.ndarray, x: float, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(image, how opaque it is, landmarks) of a dancer whose hips are at x, on a stage of that width."""
    alpha = _cut_out(image.shape[:2], marks)
    shift = round(x - float(marks[list(HIPS), 0].mean()))
    matrix = np.array([[1, 0, shift], [0, 1, 0]], np.float32)
    size = (width, image.shape[0])
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_NEAREST).astype(np.float32)
    return moved, cv2.warpAffine(alpha, matrix, size), marks + np.array([shift, 0.0])


def _cut_out(shape: tuple[int, int], marks: np.ndarray) -> np.ndarray:
    """float32 [height, width], 0..1: where the body is, generously."""
    mask = np.zeros(shape, np.uint8)
    trunk = float(np.linalg.norm(marks[list(SHOULDERS)].mean(axis=0) - marks[list(HIPS)].mean(axis=0)))
    thick = max(round(0.36 * trunk), 3)
    points = np.rint(marks).astype(int)
    for a, b in BONES:
        cv2.line(mask, points[a].tolist(), points[b].tolist(), 255, thick)
    cv2.fillConvexPoly(mask, cv2.convexHull(points[[*SHOULDERS, *HIPS]]), 255)
    head = np.rint(marks[list(EARS)].mean(axis=0)).astype(int).tolist()
    cv2.circle(mask, head, round(0.42 * trunk), 255, -1)
    for hand in (19, 20, 31, 32):
        cv2.circle(mask, points[hand].tolist(), max(round(0.18 * trunk), 2), 255, -1)
    return cv2.GaussianBlur(mask, (0, 0), max(0.04 * trunk, 1.0)).astype(np.float32) / 255.0


def _seen(marks: np.ndarray, cover: np.ndarray | None, size: tuple[int, int]) -> bool:
    body = np.rint(marks[11:]).astype(int)
    inside = ((body >= 0) & (body < size)).all(axis=1)
    if cover is not None:
        x, y = np.clip(body, 0, np.array(size) - 1).T
        inside &= cover[y, x] < 0.5
    return bool(inside.mean() >= SEEN)


@dataclass(frozen=True)
class Kept:
    """frames: how many; kept: share of them in which no place shows the other dancer; found: share of dancers to be
    seen who were; wrong: times at which a place shows the other one."""

    frames: int
    kept: float
    found: float
    wrong: tuple[float, ...]


def judged(duets: Sequence[Duet], frames: Sequence[PoseFrame]) -> Kept:
    """Whom each place shows: the dancer whose landmarks are nearer on average."""
    wrong: list[float] = []
    seen = found = 0
    for truth, frame in zip(duets, frames, strict=True):
        size = np.array(truth.image.shape[1::-1])
        shown = [dancer for dancer in (0, 1) if frame.shows(dancer)]
        for dancer in shown:
            marks = frame.image[dancer, :, :2] * size
            away = np.linalg.norm(marks - truth.marks, axis=2).mean(axis=1)
            if away[dancer] > away[1 - dancer]:
                wrong.append(truth.time_s)
                break
        seen += sum(truth.seen)
        found += sum(truth.seen[dancer] for dancer in shown)
    return Kept(len(duets), 1.0 - len(wrong) / len(duets), found / max(seen, 1), tuple(wrong))


def followed(
    duets: Sequence[Duet], pose_model: Path | None, runtime: str = "auto", kind: str = "full"
) -> list[PoseFrame]:
    """What a landmarker of two dancers makes of them."""
    with Landmarker(kind, pose_model, runtime=runtime, threads=2, dancer="left", dancers=2) as landmarker:
        return [landmarker.find(each.image, each.time_s) for each in duets]
