"""How well two dancers are told from each other: `python -m tests.measure.identities [CLIP ...]`.

In: a clip of one dancer, of which duets are made whose dancers are known (tests/support/duets.py); or with --watch
clips of two, for somebody to look at. Out: share of frames in which each place has its own dancer, and how many were
found; or sheets of numbered frames.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from livemove.body.landmarks import BONES
from livemove.capture.landmarker import Landmarker
from livemove.contracts import PoseFrame
from livemove.media import video_file
from tests.support.duets import WAYS, duet, followed, judged, moments
from tests.support.material import fetch_dancer

COLOURS = ((79, 216, 196), (199, 155, 255))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path, help="of one dancer (the tests' own), or, with --watch, of two")
    parser.add_argument("--pose-model", type=Path)
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--frames", type=int, default=600, help="of a clip, at most")
    parser.add_argument("--way", choices=WAYS, action="append", help="only this one")
    parser.add_argument("--watch", type=Path, metavar="FOLDER", help="write sheets of frames of real duets there")
    parser.add_argument("--every", type=float, default=0.4, help="seconds between two frames of a sheet")
    options = parser.parse_args()
    if options.watch:
        for clip in options.clips:
            watch(clip, options)
        return
    for clip in options.clips or [fetch_dancer()]:
        source = moments(clip, options.pose_model, options.frames)
        print(f"{clip.name}: {len(source)} frames\n{'way':10} {'colours':8} {'kept':>7} {'found':>7}  wrong at (s)")
        for name in options.way or WAYS:
            for recoloured in (True, False):
                duets = list(duet(source, WAYS[name], recoloured))
                kept = judged(duets, followed(duets, options.pose_model, options.runtime))
                wrong = " ".join(f"{time_s:.2f}" for time_s in kept.wrong[:12])
                colours = "differ" if recoloured else "same"
                print(f"{name:10} {colours:8} {kept.kept:7.2%} {kept.found:7.2%}  {wrong}", flush=True)


def watch(clip: Path, options: argparse.Namespace) -> None:
    """Sheets of six by four frames with each dancer's skeleton and number; a line on who was seen how often."""
    tiles: list[np.ndarray] = []
    seen, frames, due_s = np.zeros(2), 0, 0.0
    with Landmarker(
        path=options.pose_model, runtime=options.runtime, threads=2, dancer="left", dancers=2
    ) as landmarker:
        for time_s, image in video_file.frames(clip):
            frame = landmarker.find(image, time_s)
            seen += [frame.shows(0), frame.shows(1)]
            frames += 1
            if time_s >= due_s:
                due_s += options.every
                tiles.append(drawn(image, frame, time_s))
            if frames == options.frames:
                break
    print(f"{clip.name}: {frames} frames, dancer 1 in {seen[0] / frames:.1%}, dancer 2 in {seen[1] / frames:.1%}")
    for number, first in enumerate(range(0, len(tiles), 24)):
        page = tiles[first : first + 24]
        page += [np.zeros_like(page[0])] * (24 - len(page))
        rows = [np.hstack(page[row : row + 6]) for row in range(0, 24, 6)]
        path = options.watch / f"{clip.stem}-{number}.png"
        cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
        print(path)


def drawn(image: np.ndarray, frame: PoseFrame, time_s: float, width: int = 320) -> np.ndarray:
    """A small copy of image with the skeletons, numbers and time on it."""
    height = round(image.shape[0] * width / image.shape[1])
    tile = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_AREA)
    for dancer, colour in enumerate(COLOURS):
        if not frame.shows(dancer):
            continue
        points = np.rint(frame.image[dancer, :, :2] * (width, height)).astype(int).tolist()
        for a, b in BONES:
            cv2.line(tile, points[a], points[b], colour, 2)
        cv2.putText(tile, str(dancer + 1), points[0], cv2.FONT_HERSHEY_SIMPLEX, 0.8, colour, 2)
    cv2.putText(tile, f"{time_s:.1f}", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
    return tile


if __name__ == "__main__":
    main()
