"""From videos and sounds to a corpus to train on: `python training/prepare.py SRC -o DATA`. See
training/data/corpus.py.

In: a folder in the Kinetics layout, any folder of videos or sounds, or procedural:theremin. Out: DATA, and what was
skipped and why. Clips done are recorded one by one: however a run ends, the next goes on from there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from livemove.cli.number_types import Number, Whole

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from livemove.capture.posemodel import LITE_ASSEMBLED, MODELS, find_pose_model
from livemove.capture.runtimes import POSE_RUNTIMES
from livemove.printable import printable
from training.data import command_line, workers
from training.data.clip import KIND_TRACKS, PART_MARK, TRACK_CHANNELS, Settings
from training.data.corpus import Clip, Corpus, CorpusError, Writer, has_files, recorded
from training.data.items import Item, find_all

NAMED = 5
"""Files left out for one reason that are named one by one."""

Progress = Callable[[int, int, "Clip | None"], None]
"""Called before the first clip and after each with (clips done, clips in all, the newest)."""


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run did. made: rows of this run; kept: how many clips an earlier run had done; skipped: all there are;
    left_out: files that are no clips, and why."""

    made: tuple[Clip, ...]
    kept: int
    skipped: tuple[Clip, ...]
    left_out: tuple[tuple[str, str], ...]
    wall_s: float

    @property
    def seconds(self) -> float:
        """Of material prepared in this run."""
        return sum(clip.seconds for clip in self.made)


def prepare(
    src: str,
    root: Path,
    settings: Settings,
    *,
    worker_count: int = 1,
    cluster: bool = False,
    retry: bool = False,
    clips: int = 100,
    seconds: float = 10.0,
    on_progress: Progress = lambda done, total, clip: None,
) -> Summary:
    """Prepare what SRC holds into the corpus at root, but for what is there already. Raises LivemoveError.

    retry: look again at what was skipped. clips, seconds: how much procedural sound. The files do not depend on the
    number of workers, on the cluster, or on how often the work was interrupted.
    """
    began_s = time.perf_counter()
    known = {clip.source: clip.key for clip in recorded(root) if PART_MARK not in clip.name}
    listing = find_all(src, known, clips, seconds)
    sources = listing.items
    kinds = {source.kind for source in sources}
    if "film" in kinds:
        find_pose_model(settings.pose, settings.pose_model)  # once, before many ask for it
    tracks = {track: TRACK_CHANNELS[track] for kind in kinds for track in KIND_TRACKS[kind]}
    writer = Writer(root, settings.sample_rate, settings.pose, tracks)
    todo = [source for source in sources if not _is_done(source, writer, retry)]
    made: list[Clip] = []
    try:
        if todo:
            on_progress(0, len(todo), None)
            run = workers.on_ray if cluster else workers.on_this_machine
            with contextlib.closing(run(todo, root.absolute(), settings, worker_count)) as rows:
                for done, clips_of_one in enumerate(rows, 1):
                    for clip in clips_of_one:
                        writer.record(clip)
                    writer.forget(f"{clips_of_one[-1].key}{PART_MARK}", clips_of_one)
                    made += clips_of_one
                    on_progress(done, len(todo), clips_of_one[-1])
    finally:
        writer.close()
    asked = {source.key for source in sources}
    ours = [clip for key, clip in sorted(writer.rows.items()) if key.partition(PART_MARK)[0] in asked]
    skipped = [clip for clip in ours if clip.skipped]
    kept = len(sources) - len(todo)
    return Summary(tuple(made), kept, tuple(skipped), tuple(listing.left_out), time.perf_counter() - began_s)


def _is_done(source: Item, writer: Writer, retry: bool) -> bool:
    """Prepared from this very file, or looked at and skipped."""
    clip = writer.rows.get(source.key)
    if clip is None or (clip.skipped and retry):
        return False
    if source.kind == "procedural":
        return has_files(writer.root, clip) and math.isclose(clip.seconds, source.seconds, abs_tol=0.01)
    status = Path(source.path).stat()
    unchanged = (source.path, status.st_size, status.st_mtime_ns) == (
        clip.source,
        clip.source_bytes,
        clip.source_mtime_ns,
    )
    return unchanged and (bool(clip.skipped) or has_files(writer.root, clip))


# --- the command --------------------------------------------------------------------------------------------

EXAMPLES = """
\b
python training/prepare.py datasets/kinetics -o data/kinetics --workers 4
python training/prepare.py ~/recordings/trumpet -o data/trumpet --sample-rate 48000
python training/prepare.py procedural:theremin -o data/theremin --clips 200
python training/prepare.py datasets/kinetics -o data/kinetics --plot abcdefghijk
"""


@click.command(
    cls=command_line.Command,
    context_settings=command_line.SETTINGS,
    epilog=EXAMPLES,
)
@click.argument("src")
@click.option(
    "-o",
    "--output",
    "root",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DATA",
    help="Folder of the corpus; made, or continued if it is there.",
)
@click.option(
    "--workers",
    "worker_count",
    type=Whole(1),
    default=1,
    show_default=True,
    help="Processes side by side; about one per core pays.",
)
@click.option(
    "--cluster",
    is_flag=True,
    help="Run on Ray: on the cluster RAY_ADDRESS names, else on one made here of --workers processes.",
)
@click.option(
    "--sample-rate",
    type=Whole(8000, 192000),
    default=48000,
    show_default=True,
    help="Of the corpus: 48000 for stage models, 16000 for classic ones.",
)
@click.option(
    "--pose",
    type=click.Choice(["full", "lite"]),
    default="full",
    show_default=True,
    help="MediaPipe's pose model; lite is faster. Play with the one you prepared with.",
)
@click.option(
    "--pose-model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Pose model file (.task) to use instead of the one fetched at first use.",
)
@click.option(
    "--pose-runtime",
    type=click.Choice(("auto", *POSE_RUNTIMES)),
    default="auto",
    show_default=True,
    help="What computes it, as in livemove perform.",
)
@click.option(
    "--person",
    type=Number(0, 1),
    default=0.5,
    show_default=True,
    help="Skip videos with somebody in view in less than this share of frames.",
)
@click.option("--mirrored", is_flag=True, help="The videos show dancers mirrored, as selfie videos do.")
@click.option("--retry", is_flag=True, help="Look again at what was skipped before.")
@click.option(
    "--clips",
    type=Whole(1),
    default=100,
    show_default=True,
    help="Procedural sound: how many clips; every tenth is for validation.",
)
@click.option(
    "--seconds", type=Number(0.1), default=10.0, show_default=True, help="Procedural sound: length of a clip."
)
@click.option(
    "--plot", metavar="NAME", help="Then draw this clip (its file's name, or SPLIT/STYLE/NAME) to DATA/plots/."
)
def main(
    src: str, root: Path, worker_count: int, cluster: bool, sample_rate: int, pose: str, pose_model: Path | None,
    pose_runtime: str, person: float, mirrored: bool, retry: bool, clips: int, seconds: float, plot: str | None,
) -> None:  # fmt: skip
    """Prepare what SRC holds for training: body features, sound descriptors and sound, hop by hop, in the folder DATA.

    SRC is a folder in the Kinetics layout ({train,valid}/CLASS/ID.mp4; val/ is valid/), any folder of videos, takes or
    sounds (the first folder below it is the style, one file in ten is for validation), or procedural:theremin. A sound
    that lies among videos is what was danced to, and is left out; so is test/. What is left out or cannot be used is
    listed. What is longer than five minutes becomes several clips. Stop it as you like:
    the same command goes on where it was. DATA may be filled from several SRCs.

    Exit code 0: all of it is there; 1: some was skipped; 2: nothing was done, and a line says why.
    """
    if pose_model is not None:
        pose = _kind_of(pose_model)
    settings = Settings(sample_rate, pose, pose_model and pose_model.absolute(), person, mirrored, pose_runtime)
    with command_line.progress("clips", 0) as say:
        done = prepare(
            src, root, settings, worker_count=worker_count, cluster=cluster, retry=retry, clips=clips, seconds=seconds,
            on_progress=lambda done, total, clip: say(done, clip.key if clip else "", total),
        )  # fmt: skip
    for line in left_out_lines(done.left_out):
        click.echo(line, err=True)
    for clip in done.skipped:
        place = f" from {clip.start_s:.0f} s on" if clip.start_s else ""
        click.echo(f"skipped {clip.source}{place}: {clip.skipped}", err=True)
    for clip in done.made:
        if clip.note and PART_MARK not in clip.name:
            click.echo(f"{clip.source}: {clip.note}", err=True)
    good = len(done.made) - sum(bool(clip.skipped) for clip in done.made)
    speed = f", {done.seconds / done.wall_s:.2f} times real time" if done.seconds else ""
    click.echo(
        f"{root}: {good} clips ({done.seconds:.1f} s) prepared in {done.wall_s:.1f} s{speed}; {done.kept} were there, "
        f"{len(done.skipped)} skipped"
    )
    if plot is not None:
        _plot(root, plot)
    sys.exit(1 if done.skipped else 0)


def left_out_lines(files: Sequence[tuple[str, str]]) -> Iterator[str]:
    """One line a file, but not more than NAMED for one reason."""
    by_reason: dict[str, list[str]] = {}
    for path, why in files:
        by_reason.setdefault(why, []).append(printable(Path(path)))
    for why, paths in by_reason.items():
        yield from (f"left out {path}: {why}" for path in paths[:NAMED])
        if len(paths) > NAMED:
            yield f"left out {len(paths) - NAMED} more: {why}"


def _kind_of(model: Path) -> str:
    """Which of MediaPipe's pose models a file is. Raises PoseModelError."""
    content = find_pose_model("", model).read_bytes()
    return "lite" if hashlib.sha256(content).hexdigest() in (MODELS["lite"].sha256, LITE_ASSEMBLED) else "full"


def _plot(root: Path, name: str) -> None:
    from training.data.clip_plot import draw_clip  # matplotlib takes a second to load

    corpus = Corpus(root)
    named = [clip for clip in corpus.clips if name in (clip.key, clip.name)]
    if not named:
        there = ", ".join(clip.name for clip in corpus.clips[:5])
        raise CorpusError(f"--plot {name}: no such clip in {root}; there are {there} ...")
    path = root / "plots" / f"{named[0].key.replace('/', '_')}.png"
    draw_clip(corpus, named[0], path)
    click.echo(f"drawn: {path}")


if __name__ == "__main__":
    main()
