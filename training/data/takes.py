"""Takes to learn from (video with sound, `livemove record`): watched whole, judged, and cut into a corpus.

In: video files. Out: what is wrong or missing; a corpus whose clips are stretches of the takes, one in so many held
out. The body is followed through a whole take before it is cut. Knows no network and no terminal.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from livemove.body.features import FEATURES
from livemove.contracts import HOP, Float32
from training.data import workers
from training.data.clip import KIND_TRACKS, PART_MARK, TRACK_CHANNELS, Settings
from training.data.corpus import Corpus, Writer, has_files, recorded, write_clip
from training.data.items import Item, as_name
from training.data.material import EVERY, RATE, Finding, Material

LEAST_S = 30.0
"""A held-out part and something to train on."""
ENOUGH_S = 180.0
"""50 s did not suffice to hear a dancer (training/LOG.md): below this it says so beforehand."""
MOVES = 0.05
"""Standard deviation of the most moved feature below which nobody danced: features span 1 or 2."""
PIECE_S = 6.0


def watch(
    paths: Sequence[Path], root: Path, style: str, settings: Settings, on_progress: Callable[[int, int, str], None]
) -> Corpus | None:
    """Prepare the takes into a corpus at root, but for those that are there; None if none can be used. Raises
    LivemoveError."""
    writer = Writer(root, RATE, settings.pose, {name: TRACK_CHANNELS[name] for name in KIND_TRACKS["film"]})
    items = [Item("film", "train", style, f"{i}_{as_name(path.stem)}", str(path)) for i, path in enumerate(paths)]
    todo = [i for i in items if (row := writer.rows.get(i.key)) is None or row.skipped or not has_files(root, row)]
    try:
        with contextlib.closing(workers.on_this_machine(todo, root.absolute(), settings, 1)) as rows:
            for done, clips in enumerate(rows if todo else (), 1):
                for clip in clips:
                    writer.record(clip)
                writer.forget(f"{clips[-1].key}{PART_MARK}", clips)
                on_progress(done, len(todo), clips[-1].name)
    finally:
        writer.close()
    return Corpus(root) if any(not clip.skipped for clip in recorded(root)) else None


def judge(root: Path, corpus: Corpus | None) -> Material:
    """What the watched takes are good for."""
    findings = [Finding(f"{Path(c.source).name}: {c.skipped}") for c in recorded(root) if c.skipped]
    if corpus is None:
        return Material(0.0, 0.0, False, (*findings, Finding("none of the takes can be used", True)))
    seconds = sum(clip.seconds for clip in corpus.clips)
    if seconds < LEAST_S:
        text = f"too short: {seconds:.0f} s of takes; {LEAST_S:.0f} s are the least"
        text += f", {ENOUGH_S / 60:.0f} minutes are better"
        findings.append(Finding(text, True))
    elif seconds < ENOUGH_S:
        text = f"{seconds / 60:.1f} minutes of takes: a model of less than a minute did not hear its dancer"
        findings.append(Finding(f"{text}; {ENOUGH_S / 60:.0f} minutes or more are better"))
    features = np.concatenate([corpus.read(clip, FEATURES).channels for clip in corpus.clips])
    if float(features.std(0).max()) < MOVES:
        findings.append(Finding("nobody moves in it: there is no movement to learn", True))
    for clip in corpus.clips:
        if clip.person < 0.9:
            text = f"in {100 * (1 - clip.person):.0f} % of the images nobody is in view"
            findings.append(Finding(f"{Path(clip.source).name}: {text}"))
    return Material(seconds, seconds, False, tuple(findings))


def cut(corpus: Corpus, root: Path) -> None:
    """Write the corpus to train on at root: stretches of PIECE_S, one in EVERY held out. Raises OutputError."""
    writer = Writer(root, corpus.sample_rate, "full", {"features": corpus.tracks["features"]})
    length, number = round(PIECE_S * corpus.sample_rate / HOP), 0
    pieces = sum(max(clip.hops // length, 1) for clip in corpus.clips)
    every = min(EVERY, max(pieces, 2))
    try:
        for clip in corpus.clips:
            whole = corpus.read(clip, FEATURES)
            for first in range(0, max(clip.hops // length, 1) * length, length):
                last = min(first + length, clip.hops)
                audio: Float32 = whole.audio[first * HOP : last * HOP]
                row = dataclasses.replace(
                    clip, split="valid" if number % every == every // 2 else "train", name=f"{clip.name}_{first:06d}",
                    start_s=first * HOP / corpus.sample_rate, tracks=("features",), frames=0, fps=0.0,
                    hops=last - first, seconds=(last - first) * HOP / corpus.sample_rate,
                )  # fmt: skip
                write_clip(root, row, audio, corpus.sample_rate, {"features": whole.channels[first:last]})
                writer.record(row)
                number += 1
    finally:
        writer.close()
