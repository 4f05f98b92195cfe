"""One clip of the dance corpus: a take of motion capture before a simulated camera, and the music composed from it.

In: a Take (file, style, variant, seed) and the folder of sounds. Out: the clip's files and its row. The same take,
variant and seed give the same clip on every machine. Runs in any process; knows no terminal.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from livemove.contracts import HOP, LivemoveError
from training.data import dance_kit, dance_score, mocap
from training.data.augment import Observation, Shake, disturbed
from training.data.bvh import MotionError, read_bvh
from training.data.clip import features_at_hops
from training.data.corpus import Clip, packed, unpacked, write_clip
from training.data.items import as_name

RATE = 48000
VALID_SHARE = 0.2
"""Of performances; all takes of one performance are in one split."""
SHAKE = Shake(dropped=0.0, latency_s=0.02, mirror=0.5, missing=0.04)
"""What the stage does on top of what the simulated camera does: lag, mirrored dances, limbs and people out of view."""
MIN_S = 3.0


@dataclass(frozen=True)
class Take:
    """What one clip is made of."""

    path: Path
    split: str
    style: str
    variant: int
    seed: int

    @property
    def name(self) -> str:
        return as_name(f"{self.path.name.partition('.')[0]}_{self.variant:02d}")


def find_takes(folders: Sequence[Path], minutes: float, seed: int) -> list[Take]:
    """Takes of all .bvh and .bvh.xz files below these folders, as many variants of each as fill so many minutes; styles
    take turns. Raises LivemoveError if there is no such file."""
    paths = sorted((path for folder in folders for path in _motions(folder)), key=lambda path: path.name)
    if not paths:
        raise LivemoveError(f"{', '.join(map(str, folders))}: no .bvh or .bvh.xz file below")
    held_out = set(_held_out(sorted({performance(path) for path in paths})))
    seconds = sum(read_bvh(path).seconds for path in paths)
    variants = max(math.ceil(60 * minutes / seconds), len(dance_score.STYLES))
    styles = list(dance_score.STYLES)
    return [
        Take(path, "valid" if performance(path) in held_out else "train", styles[(i + v) % len(styles)], v, seed)
        for v in range(variants)
        for i, path in enumerate(paths)
    ]


def _motions(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith((".bvh", ".bvh.xz"))]


def performance(path: Path) -> str:
    """What takes of one performance share. CMU calls its files SUBJECT_TAKE, and two subjects dance one take as a pair:
    the same take of any subject counts as one performance; any other file is one by itself."""
    name = path.name.partition(".")[0]
    found = re.fullmatch(r"\d+_(\d+)(_.*)?", name)
    return found[1] if found else name


def _held_out(performances: list[str]) -> list[str]:
    """A fixed share of them, by a hash of their names."""
    ranked = sorted(performances, key=lambda name: hashlib.sha256(name.encode()).digest())
    return ranked[: max(round(VALID_SHARE * len(ranked)), 1)] if len(ranked) > 1 else []


def danced(take: Take) -> Observation:
    """What the camera saw of a take, disturbed as on a stage. Raises MotionError."""
    digest = hashlib.sha256(f"{take.path.name} {take.variant}".encode()).digest()
    rng = np.random.default_rng((take.seed, int.from_bytes(digest[:8], "big")))
    motion = read_bvh(take.path)
    motion = dataclasses.replace(motion, values=motion.values[1:])  # converters put their rest pose into the first
    names, shares = zip(*mocap.MODES, strict=True)
    try:
        body = mocap.dancer(motion, str(rng.choice(names, p=shares)))
    except MotionError as error:
        raise MotionError(f"{take.path}: {error}") from error
    observation = mocap.observed(rng, mocap.timed(rng, body), mocap.drawn_camera(rng))
    return disturbed(rng, observation, SHAKE)


def make_clip(take: Take, root: Path, sounds: Path) -> Clip:
    """Write one clip into the corpus at root; its row. Raises LivemoveError."""
    observation = danced(take)
    columns = (observation.frame_s, observation.people, observation.image, observation.world, observation.visibility)
    poses = [unpacked(i, *row) for i, row in enumerate(zip(*columns, strict=True))]
    hops = int(observation.frame_s[-1] * RATE) // HOP
    row = Clip(take.split, take.style, take.name, take.path.name)
    if hops * HOP < MIN_S * RATE:
        return dataclasses.replace(row, skipped=f"shorter than {MIN_S:g} s")
    features = features_at_hops(poses, hops, RATE, observation.arrival_s)
    accents = dance_score.accent_channels(features, RATE)
    audio = dance_kit.mixdown(dance_score.compose(features, take.style, RATE), take.style, hops, sounds, RATE)
    held_out = take.split == "valid"
    rms = float(np.sqrt((audio.astype(np.float64) ** 2).mean()))
    row = dataclasses.replace(
        row,
        tracks=("features", "accents"),
        hops=hops,
        seconds=hops * HOP / RATE,
        frames=len(poses) if held_out else 0,
        fps=float(1 / np.median(np.diff(observation.frame_s))) if held_out else 0.0,
        person=float((observation.people > 0).mean()),
        level_dbfs=20 * math.log10(max(rms, 1e-6)),
    )
    # Landmarks, the larger part of a clip, are for scoring only: disturbing them again would part dance and music.
    write_clip(
        root, row, audio, RATE, {"features": features, "accents": accents, **(packed(poses) if held_out else {})}
    )
    return row
