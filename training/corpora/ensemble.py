"""Several instruments as the styles of one corpus: `python training/corpora/ensemble.py SOUNDS -o DATA`.

In: a folder of single notes with manifest.csv, or one of note libraries by instrument. Out: DATA, in which every
instrument is a style, and the procedural theremin another. Where recordings end, an instrument's outermost notes are
played on, so that all styles meet and can be blended. The same seed gives the same corpus on every machine.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from livemove.cli.number_types import Number, Whole
from training.corpora.phrases import POSE, Plan, find_library, make_phrases
from training.data import command_line, descriptors, notes, phrases, theremin_phrases
from training.data.corpus import Clip, Writer, has_files, write_clip

INSTRUMENTS = {"cello": 0.0, "saxophone": 0.0, "tuba": 12.0, "flute": 12.0}
"""Styles from recordings, and by how many semitones they are played beyond them."""
HELD_OUT_SHARE = 10
"""One clip of the theremin in so many is for validation."""


def make_theremin(root: Path, seconds: float, seed: int, minutes: float) -> Iterator[Clip]:
    """Rows of the theremin's clips, as they are made; clips that are there already are kept. Raises OutputError."""
    count = round(minutes * 60 / seconds)
    jobs = [("train", i) for i in range(count)] + [("valid", i) for i in range(max(count // HELD_OUT_SHARE, 1))]
    writer = Writer(root, notes.RATE, POSE, {"descriptors": descriptors.CHANNELS})
    try:
        for split, index in jobs:
            row = writer.rows.get(f"{split}/{theremin_phrases.STYLE}/{phrases.name(split, index)}")
            same = row is not None and row.source == phrases.source(seed) and abs(row.seconds - seconds) < 0.01
            if row is not None and same and has_files(root, row):
                continue
            row, audio, arrays = theremin_phrases.phrase(split, seed, index, seconds)
            write_clip(root, row, audio, notes.RATE, arrays)
            writer.record(row)
            yield row
    finally:
        writer.close()


@click.command(cls=command_line.Command, context_settings=command_line.SETTINGS)
@click.argument("sounds", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "-o", "--output", "root", type=click.Path(path_type=Path), required=True, metavar="DATA",
    help="Folder of the corpus; made, or continued if it is there.",
)  # fmt: skip
@click.option("--minutes", type=Number(0.1), default=12.0, show_default=True, help="Of each style.")
@click.option("--seconds", type=Number(2), default=15.0, show_default=True, help="Length of a clip.")
@click.option("--seed", type=Whole(0), default=0, show_default=True)
@click.option("--workers", type=Whole(1), default=1, show_default=True, help="Processes side by side.")
def main(sounds: Path, root: Path, minutes: float, seconds: float, seed: int, workers: int) -> None:
    """Make a corpus with the styles cello, flute, saxophone, theremin and tuba, each playing phrases.

    SOUNDS is a folder with manifest.csv, as for phrases.py, or one with the note libraries cello/, flute/, saxophone/
    and tuba/, as phrases.py --library makes them. Libraries that are made on the way are kept in DATA.notes. Stop it as
    you like: the same command goes on where it was.

    Exit code 0: all of it is there; 1: some notes could not be used; 2: a line says why not.
    """
    began_s, made_s, left_out = time.perf_counter(), 0.0, 0
    at_hand = any((sounds / name / "notes.json").exists() for name in INSTRUMENTS)
    for name, beyond in INSTRUMENTS.items():
        library = (sounds if at_hand else root.with_name(f"{root.name}.notes")) / name
        left_out += len(find_library(sounds, library, name, workers))
        plan = Plan(library, root, name, seconds, seed, beyond)
        with command_line.progress("clips", 0) as say:
            for count, (row, total) in enumerate(make_phrases(plan, minutes, workers), 1):
                made_s += row.seconds
                say(count, row.key, total)
    with command_line.progress("clips", 0) as say:
        for count, row in enumerate(make_theremin(root, seconds, seed, minutes), 1):
            made_s += row.seconds
            say(count, row.key, count)
    wall_s = time.perf_counter() - began_s
    click.echo(f"{root}: {made_s / 60:.1f} minutes made in {wall_s:.1f} s")
    sys.exit(1 if left_out else 0)


if __name__ == "__main__":
    main()
