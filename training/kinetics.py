"""Dance videos to learn from: `python training/kinetics.py download | fetch | curate | check`.

In: Kinetics' annotations, an archive's address, a YAML list. Out: <root>/{train,valid}/<class>/<id>.mp4, and what could
not be had and why. The way on is training/prepare.py.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from livemove.cli.number_types import Number, Whole

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from livemove.contracts import LivemoveError, OutputError
from training.data import annotations, command_line
from training.data.items import Item, find_items


class ListError(LivemoveError):
    """A list of clips that cannot be read or does not fit the folder."""


@click.group(cls=command_line.Group, context_settings=command_line.SETTINGS)
def main() -> None:
    """Get dance videos, choose the good ones, look for bad ones.

    \b
    python training/kinetics.py download --annotations kinetics.csv --categories dancing --workers 8 datasets/kinetics
    python training/kinetics.py fetch https://example.org/kinetics_debug.zip datasets/kinetics_debug --sha256 ...
    python training/kinetics.py check datasets/kinetics --list good.yaml
    python training/kinetics.py curate good.yaml datasets/kinetics datasets/good
    python training/prepare.py datasets/good -o data/good

    Videos belong to those who made them: see to it that you may use what you train on.
    """


# --- download -----------------------------------------------------------------------------------------------


@main.command(context_settings=command_line.SETTINGS)
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--annotations",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    metavar="CSV",
    help="Kinetics' annotation file; may be given several times (train.csv, validate.csv).",
)
@click.option(
    "--categories",
    default="dancing",
    show_default=True,
    metavar="NAMES",
    help="Classes, or groups of classes, with commas between: dancing (its 17 classes), salsa_dancing, all.",
)
@click.option("--per-class", type=Whole(1), metavar="N", help="At most so many clips of each class and split.")
@click.option("--workers", type=Whole(1, 64), default=4, show_default=True, help="Downloads side by side.")
@click.option("--max-mb", type=Number(1), default=300, show_default=True, help="Give a video up beyond this.")
@click.option(
    "--max-seconds",
    type=Number(1),
    default=600,
    show_default=True,
    help="Give a video up that takes longer than this to come.",
)
@click.option(
    "--timeout",
    type=Number(0.1),
    default=20,
    show_default=True,
    help="Seconds of silence after which a connection has stalled.",
)
@click.option(
    "--cookies",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Cookies of a signed-in browser (Netscape's format), for what needs an account.",
)
@click.option(
    "--url",
    default="https://www.youtube.com/watch?v={id}",
    show_default=True,
    metavar="TEMPLATE",
    help="Where a video is, for mirrors.",
)
@click.option(
    "--retry", is_flag=True, help="Ask again for what was gone or private; what failed is always tried again."
)
def download(
    root: Path, files: tuple[Path, ...], categories: str, per_class: int | None, workers: int, max_mb: float,
    max_seconds: float, timeout: float, cookies: Path | None, url: str, retry: bool,
) -> None:  # fmt: skip
    """Download the annotated seconds of Kinetics' videos into ROOT/{train,valid}/CLASS/ID.mp4.

    The annotations are DeepMind's CSV files (label, youtube_id, time_start, time_end, split): look for "Kinetics
    700-2020 annotations". Videos come from YouTube through yt-dlp; if it stops working, the site has changed: pip
    install -U 'yt-dlp[default]' (it also wants Deno, see its README). Only the seconds asked for are kept.

    ROOT/downloads.jsonl remembers every clip: done, gone, private, or failed and why. Stop it as you like: the same
    command goes on where it was. When the site asks for patience, all workers wait, longer each time.

    Exit code 0: all that can be had is there; 1: some failed and may work another time; 2: a line says what is wrong.
    """
    if "{id}" not in url:
        raise command_line.Mendable(f"--url {url}: {{id}} must be in it, where the video's id goes")
    found: dict[str, annotations.Annotation] = {}
    for file in files:
        rows, troubles = annotations.read_annotations(file)
        found.update((row.key, row) for row in rows)
        for trouble in troubles[:5]:
            click.echo(f"{file}: {trouble}; left out", err=True)
        if len(troubles) > 5:
            click.echo(f"{file}: {len(troubles) - 5} more lines left out", err=True)
    names = [name for name in categories.split(",") if name.strip()]
    wanted = annotations.choose(list(found.values()), names, per_class)

    from training.data.downloads import Ledger, Limits, Outcome
    from training.data.downloads import download as run

    ledger = Ledger(root)
    settled = {"gone", "private"} if not retry else set()
    left = [
        clip for clip in wanted
        if not (root / f"{clip.key}.mp4").exists()
        and (clip.key not in ledger.outcomes or ledger.outcomes[clip.key].status not in settled)
    ]  # fmt: skip
    limits = Limits(bytes_most=int(max_mb * 1e6), seconds_most=max_seconds, timeout_s=timeout)
    try:
        if left:
            running = run(left, root, limits, workers, url, cookies)
            with command_line.following("clips", len(left), running, lambda o: f"{o.key} {o.status}") as outcomes:
                for outcome in outcomes:
                    ledger.record(outcome)
    finally:
        ledger.close()

    def came(clip: annotations.Annotation) -> Outcome:
        if (root / f"{clip.key}.mp4").exists():
            return Outcome(clip.key, "done")
        return ledger.outcomes[clip.key]

    results = [came(clip) for clip in wanted]
    for outcome in results:
        if outcome.status == "failed":
            click.echo(f"failed {outcome.key}: {outcome.reason}", err=True)
    _say_balance(find_clips(root))
    counts = collections.Counter(outcome.status for outcome in results)
    click.echo(f"{root}: " + ", ".join(f"{counts[s]} {s}" for s in ("done", "gone", "private", "failed")))
    sys.exit(1 if counts["failed"] else 0)


def find_clips(root: Path) -> list[Item]:
    """The clips of a folder, none if there are none yet."""
    try:
        return find_items(str(root), {})
    except LivemoveError:
        return []


def _say_balance(clips: Iterable[Item]) -> None:
    """How many clips of each class there are, by split."""
    counts = collections.Counter((clip.style, clip.split) for clip in clips)
    for style in sorted({style for style, _ in counts}):
        click.echo(f"{style:28} train {counts[style, 'train']:5}  valid {counts[style, 'valid']:5}")


# --- fetch --------------------------------------------------------------------------------------------------


@main.command(context_settings=command_line.SETTINGS)
@click.argument("url")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--sha256", metavar="HEX", help="Checksum the archive must have; with it, an interrupted fetch goes on.")
@click.option(
    "--max-gb",
    type=Number(0.001),
    default=500,
    show_default=True,
    help="Refuse an archive that is, or unpacks to, more than this.",
)
@click.option(
    "--timeout",
    type=Number(0.1),
    default=30,
    show_default=True,
    help="Seconds of silence after which a connection has stalled.",
)
@click.option("--tries", type=Whole(1), default=6, show_default=True, help="On a network that fails.")
def fetch(url: str, folder: Path, sha256: str | None, max_gb: float, timeout: float, tries: int) -> None:
    """Fetch a ready-made data set, a zip or tar archive at URL, and unpack it into FOLDER.

    URL is http(s), or the link of one file on Google Drive. FOLDER appears when everything was fine: what would lead
    out of it, links, and archives made to fill disks are refused.
    """
    from training.data import archives

    limits = archives.Limits(bytes_most=int(max_gb * 1e9), timeout_s=timeout, tries=tries)
    with command_line.progress("MB", 0) as say:
        count = archives.fetch(url, folder, sha256, limits, lambda done, total: say(done >> 20, "", total >> 20))
    clips = find_clips(folder)
    _say_balance(clips)
    click.echo(f"{folder}: {count} files, {len(clips)} clips")


# --- curate -------------------------------------------------------------------------------------------------


@main.command(context_settings=command_line.SETTINGS)
@click.argument("chosen", metavar="LIST", type=click.Path(path_type=Path))
@click.argument("src", type=click.Path(path_type=Path))
@click.argument("dest", type=click.Path(path_type=Path))
def curate(chosen: Path, src: Path, dest: Path) -> None:
    """Make DEST from those clips of SRC that are in LIST: good image, good sound, dancer and music together.

    LIST is YAML: a class, and below it the clips' names; a clip may change its split.

    \b
    salsa_dancing:
      - abcdefghijk
      - {id: lmnopqrstuv, split: valid}

    `check --list FILE` writes such a list of all clips that have nothing wrong. Files are linked where the disk allows.
    Exit code 1: some clips of the list are not in SRC.
    """
    wanted = read_list(chosen)
    if not src.is_dir():
        raise ListError(f"{src}: no such folder")
    there = {(clip.style, clip.name): clip for clip in find_clips(src)}
    missing = [(style, name) for style, name, _ in wanted if (style, name) not in there]
    for style, name, split in wanted:
        clip = there.get((style, name))
        if clip is not None:
            path = Path(clip.path)
            _place(path, dest / (split or clip.split) / style / path.name)
    for style, name in missing:
        click.echo(f"not in {src}: {style}/{name}", err=True)
    _say_balance(find_clips(dest))
    click.echo(f"{dest}: {len(wanted) - len(missing)} clips of {len(wanted)} in {chosen}")
    sys.exit(1 if missing else 0)


def read_list(path: Path) -> list[tuple[str, str, str | None]]:
    """(class, clip, split or None) of a YAML list. Raises ListError naming what is wrong."""
    import yaml

    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ListError(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(content, dict) or not content:
        raise ListError(f"{path}: expected classes with clips below them, see --help")
    wanted: list[tuple[str, str, str | None]] = []
    for style, clips in content.items():
        for clip in clips if isinstance(clips, list) else [clips]:
            entry = clip if isinstance(clip, dict) else {"id": clip}
            known = isinstance(entry.get("id"), str) and entry.get("split") in (None, "train", "valid")
            if not known or entry.keys() - {"id", "split"}:
                raise ListError(
                    f"{path}: {style}: {clip!r} is no clip; write its name (in quotes if it is a number), or "
                    "{id: NAME, split: train or valid}"
                )
            wanted.append((annotations.style_of(str(style)), entry["id"], entry.get("split")))
    return wanted


def _place(path: Path, target: Path) -> None:
    """A hard link if the file system makes one, a copy otherwise. Raises OutputError."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(path, target)
        except OSError:  # another disk, or a file system without links
            draft = target.with_name(f".{target.name}")
            shutil.copy2(path, draft)
            os.replace(draft, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error


# --- check --------------------------------------------------------------------------------------------------


@main.command(context_settings=command_line.SETTINGS)
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--seconds", type=Number(0), default=10, show_default=True, help="Length clips should have; 0: any.")
@click.option("--tolerance", type=Number(0), default=0.5, show_default=True, help="By how much it may be off.")
@click.option(
    "--person",
    type=Number(0, 1),
    default=0.5,
    show_default=True,
    help="Share of looks at a clip in which somebody must be seen.",
)
@click.option(
    "--workers",
    type=Whole(1),
    default=os.cpu_count() or 1,
    show_default="cores",
    help="Clips looked at side by side.",
)
@click.option(
    "--pose-model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Pose model file (.task) to use instead of the one fetched at first use.",
)
@click.option(
    "--list",
    "good_list",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the good clips as a list for `curate`.",
)
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write all findings as JSON.")
def check(
    root: Path, seconds: float, tolerance: float, person: float, workers: int, pose_model: Path | None,
    good_list: Path | None, report: Path | None,
) -> None:  # fmt: skip
    """Look at every clip of ROOT and say which are unreadable, silent, without a person, or of the wrong length.

    Changes nothing. Exit code 0: all clips are good; 1: some are not; 2: a line says what is wrong.
    """
    clips = find_items(str(root), {})
    from training.data import checks

    expected = checks.Expected(seconds, tolerance, person, pose_model=pose_model)
    running = checks.check(clips, expected, workers)
    with command_line.following("clips", len(clips), running, lambda finding: finding.key) as found:
        findings = sorted(found, key=lambda finding: finding.key)
    for finding in findings:
        if finding.troubles:
            click.echo(f"{', '.join(finding.troubles):24} {finding.path}: {finding.detail}")
    _say_balance(clips)
    counts = collections.Counter(trouble for finding in findings for trouble in finding.troubles)
    bad = sum(bool(finding.troubles) for finding in findings)
    each = "".join(f", {count} {trouble}" for trouble, count in counts.most_common())
    click.echo(f"{root}: {len(findings) - bad} of {len(findings)} clips good{each}")
    if report is not None:
        _write(report, json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1) + "\n")
    if good_list is not None:
        good = {finding.key for finding in findings if not finding.troubles}
        _write(good_list, as_list([clip for clip in clips if clip.key in good]))
    sys.exit(1 if bad else 0)


def as_list(clips: Sequence[Item]) -> str:
    """What `curate` reads: the clips by class, each in its split."""
    import yaml

    content: dict[str, list[dict[str, str]]] = {}
    for clip in clips:
        content.setdefault(clip.style, []).append({"id": clip.name, "split": clip.split})
    return yaml.safe_dump(content)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


if __name__ == "__main__":
    main()
