"""From single notes to a corpus of phrases: `python training/corpora/phrases.py SOUNDS -o DATA --instrument cello`.

In: a folder of single notes with manifest.csv (columns: training/data/notes.py), or a note library made from one. Out:
DATA, a corpus as training/data/corpus.py describes it. The same seed gives the same corpus on every machine.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import click

from livemove.cli.number_types import Number, Whole

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from training.data import command_line, descriptors, notes, phrases
from training.data.corpus import Clip, Writer, has_files, write_clip
from training.data.instrument import parts_of
from training.data.notes import Library, Note, NotesError

HELD_OUT_NOTES = 4
"""Per validation clip."""
POSE = "full"
"""What `prepare` writes into a corpus if nothing is said: videos and phrases may go into one."""


@dataclass(frozen=True)
class Plan:
    """What a corpus is made of: the same plan gives the same clips, whatever makes them."""

    library: Path
    root: Path
    instrument: str
    seconds: float
    seed: int
    beyond: float = 0.0

    @property
    def style(self) -> str:
        return self.instrument.replace(" ", "_")


Job = tuple[str, int]
"""A split and the number of its clip."""


def make_phrases(plan: Plan, minutes: float, workers: int = 1) -> Generator[tuple[Clip, int]]:
    """(row, how many there are to make) of every clip, as they are made; clips that are there already are kept.

    Training clips are phrases; validation clips are the notes that were held out. Raises NotesError, OutputError.
    """
    library = notes.load_library(plan.library)
    phrases.Player(library, plan.instrument)
    jobs: list[Job] = [("train", i) for i in range(round(minutes * 60 / plan.seconds))]
    jobs += [("valid", i) for i in range(len(_held_out(library, plan.instrument)))]
    writer = Writer(plan.root, notes.RATE, POSE, {"descriptors": descriptors.CHANNELS})
    try:
        jobs = [job for job in jobs if not _is_done(writer, plan, job)]
        if workers == 1 or len(jobs) < 2:
            worker = _Worker(plan, library)
            for job in jobs:
                row = worker.make(job)
                writer.record(row)
                yield row, len(jobs)
        else:
            with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), _begin, (plan,)) as pool:
                for row in pool.map(_make, jobs, chunksize=2):
                    writer.record(row)
                    yield row, len(jobs)
    finally:
        writer.close()


def _is_done(writer: Writer, plan: Plan, job: Job) -> bool:
    row = writer.rows.get(f"{job[0]}/{plan.style}/{phrases.name(*job)}")
    if row is None or not has_files(writer.root, row):
        return False
    as_asked = row.source == phrases.source(plan.seed, plan.beyond) and abs(row.seconds - plan.seconds) < 0.01
    return job[0] == "valid" or as_asked


def _held_out(library: Library, instrument: str) -> list[list[Note]]:
    """Notes kept out of training, a few per validation clip; each clip has high and low ones."""
    parts = {part.name: part for part in parts_of(instrument)}
    kept = [n for n in library.notes if n.held_out and n.instrument in parts]
    kept = [n for n in kept if parts[n.instrument].low <= n.midi <= parts[n.instrument].high]
    kept.sort(key=lambda n: (n.midi, n.file))
    count = -(-len(kept) // HELD_OUT_NOTES)
    return [kept[i::count] for i in range(count)]


class _Worker:
    """Makes clips of one plan in one process."""

    def __init__(self, plan: Plan, library: Library) -> None:
        self.plan = plan
        self.player = phrases.Player(library, plan.instrument)
        self.held_out = _held_out(library, plan.instrument)

    def make(self, job: Job) -> Clip:
        split, index = job
        if split == "train":
            plan = self.plan
            made = phrases.phrase(self.player, plan.style, plan.seed, index, plan.seconds, plan.beyond)
        else:
            made = phrases.held_out_clip(self.player, self.plan.style, self.held_out[index], index)
        row, audio, arrays = made
        write_clip(self.plan.root, row, audio, notes.RATE, arrays)
        return row


_worker: _Worker | None = None


def _begin(plan: Plan) -> None:
    """A worker's process: the library is read once."""
    global _worker
    _worker = _Worker(plan, notes.load_library(plan.library))


def _make(job: Job) -> Clip:
    assert _worker is not None
    return _worker.make(job)


def find_library(sounds: Path, library_at: Path, instrument: str, workers: int, as_recorded: bool = False) -> list[str]:
    """Make the note library of an instrument from a folder with manifest.csv, unless it is there. Says what it does on
    the terminal; returns what was left out. Raises NotesError, OutputError."""
    if (library_at / "notes.json").exists():
        if notes.load_library(library_at).canonical == as_recorded:
            raise NotesError(f"{library_at}: was made {'without' if as_recorded else 'with'} --as-recorded; "
                             "give another --library")  # fmt: skip
        return []
    began_s = time.perf_counter()
    ranges = {part.name: part for part in parts_of(instrument)}
    files = notes.read_manifest(sounds, list(ranges))
    files = [f for f in files if ranges[f.instrument].low <= f.midi <= ranges[f.instrument].high]
    with command_line.progress("notes", len(files)) as say:
        library, left_out = notes.make_library(files, workers, as_recorded, say)
    notes.save_library(library, library_at)
    for line in left_out:
        click.echo(f"left out {line}", err=True)
    click.echo(f"{library_at}: {len(library.notes)} notes in {time.perf_counter() - began_s:.1f} s")
    return left_out


# --- the command --------------------------------------------------------------------------------------------

EXAMPLES = """
\b
python training/corpora/phrases.py ~/notes -o data/cello --instrument cello --minutes 30 --workers 8
python training/corpora/phrases.py ~/notes -o data/sax --instrument saxophone --library libraries/sax
python training/corpora/phrases.py libraries/sax -o data/sax --instrument saxophone
"""


@click.command(cls=command_line.Command, context_settings=command_line.SETTINGS, epilog=EXAMPLES)
@click.argument("sounds", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "-o", "--output", "root", type=click.Path(path_type=Path), metavar="DATA",
    help="Folder of the corpus; made, or continued if it is there. Without it only the note library is made.",
)  # fmt: skip
@click.option(
    "--instrument", required=True,
    help="What plays, as the manifest names it; saxophone is soprano to baritone as one. Also the style's name.",
)  # fmt: skip
@click.option(
    "--library", "library_at", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Where the prepared notes are kept, and found the next time. Default: DATA.notes beside DATA.",
)  # fmt: skip
@click.option("--minutes", type=Number(0), default=30.0, show_default=True, help="Of phrases to train on.")
@click.option("--seconds", type=Number(2), default=15.0, show_default=True, help="Length of a clip.")
@click.option("--seed", type=Whole(0), default=0, show_default=True)
@click.option("--workers", type=Whole(1), default=1, show_default=True, help="Processes side by side.")
@click.option(
    "--beyond", type=Number(0, 24), default=0.0, show_default=True, metavar="SEMITONES",
    help="So far phrases lead out of the recorded range, on its outermost notes: for styles that are to blend.",
)  # fmt: skip
@click.option("--as-recorded", is_flag=True, help="Keep the harmonics' own phases instead of canonical ones.")
def main(
    sounds: Path, root: Path | None, instrument: str, library_at: Path | None, minutes: float, seconds: float,
    seed: int, workers: int, beyond: float, as_recorded: bool,
) -> None:  # fmt: skip
    """Make a corpus of phrases from single notes: legato and detached, glides, vibrato, all dynamics, rests.

    SOUNDS is a folder with manifest.csv (columns file, instrument, midi, dynamic, articulation), or a note library.
    One note in ten is kept out of the phrases; those are what the corpus is validated on. Stop it as you like: the
    same command goes on where it was.

    Exit code 0: all of it is there; 1: some notes could not be used; 2: nothing was done, and a line says why.
    """
    if (sounds / "notes.json").exists():
        library_at = sounds
    if library_at is None:
        if root is None:
            raise NotesError("nothing to do: give -o DATA, --library FOLDER or both")
        library_at = root.with_name(f"{root.name}.notes")
    left_out = find_library(sounds, library_at, instrument, workers, as_recorded)
    if root is not None:
        began_s, made_s = time.perf_counter(), 0.0
        with command_line.progress("clips", 0) as say:
            for count, (row, total) in enumerate(
                make_phrases(Plan(library_at, root, instrument, seconds, seed, beyond), minutes, workers), 1
            ):
                made_s += row.seconds
                say(count, row.key, total)
        wall_s = time.perf_counter() - began_s
        click.echo(f"{root}: {made_s / 60:.1f} minutes made in {wall_s:.1f} s, {made_s / wall_s:.1f} times real time")
    sys.exit(1 if left_out else 0)


if __name__ == "__main__":
    main()
