"""From motion capture and one-shots to a corpus: `python training/corpora/dance.py MOCAP --sounds SOUNDS -o DATA`.

In: folders of .bvh files and of percussion sounds. Out: a corpus (training/data/corpus.py) of simulated dancers and the
music composed from what a camera saw of them (training/data/dance_score.py). training/cards/dance.md says where both
can be had.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import click

from livemove.cli.number_types import Number, Whole

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from training.data import command_line, dance_kit, dance_score, danced
from training.data.clip import TRACK_CHANNELS
from training.data.corpus import Corpus, Writer
from training.metrics import dance_scores

EXAMPLES = """
\b
python training/corpora/dance.py ~/mocap --sounds ~/sounds -o data/dance --workers 4
python training/train.py --config dance --dataset data/dance
"""


@click.command(cls=command_line.Command, context_settings=command_line.SETTINGS, epilog=EXAMPLES)
@click.argument("mocap", type=click.Path(path_type=Path, exists=True, file_okay=False), nargs=-1, required=True)
@click.option(
    "--sounds", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, metavar="SOUNDS",
    help="Folder that holds the kits' one-shots, at any depth.",
)  # fmt: skip
@click.option(
    "-o", "--output", "root", type=click.Path(path_type=Path), required=True, metavar="DATA",
    help="Folder of the corpus; made if it is not there.",
)  # fmt: skip
@click.option("--minutes", type=Number(0.1), default=25.0, show_default=True, help="How much, at least.")
@click.option("--seed", type=Whole(0), default=1, show_default=True, help="Same seed, same corpus.")
@click.option("--workers", type=Whole(1), default=1, show_default=True, help="Processes side by side.")
@click.option(
    "--check", is_flag=True, help="Then measure the corpus by the model's own measures (the ceiling) and print JSON."
)
def main(
    mocap: tuple[Path, ...], sounds: Path, root: Path, minutes: float, seed: int, workers: int, check: bool
) -> None:
    """Make a corpus of dances with the music they play, from all motion capture below MOCAP.

    Each file is danced several times: as it is, mirrored, with the arms or the legs alone, at other tempos, with
    pauses, before other cameras, in the styles in turn. A fifth of the performances is held out whole.
    """
    began_s = time.perf_counter()
    takes = danced.find_takes(mocap, minutes, seed)
    dance_kit.load(sounds, danced.RATE)  # says what is missing before the work begins
    writer = Writer(
        root, danced.RATE, "simulated", {"features": TRACK_CHANNELS["features"], "accents": dance_score.CHANNELS}
    )
    rows = []
    try:
        with (
            ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool,
            command_line.progress("clips", len(takes)) as say,
        ):
            for done in as_completed([pool.submit(danced.make_clip, take, root, sounds) for take in takes]):
                rows.append(done.result())
                writer.record(rows[-1])
                say(len(rows), rows[-1].key)
    finally:
        writer.close()
    for row in rows:
        if row.skipped:
            click.echo(f"skipped {row.source}: {row.skipped}", err=True)
    for split in ("train", "valid"):
        own = [row for row in rows if row.split == split and not row.skipped]
        click.echo(
            f"{root}: {split}: {len(own)} clips, {sum(row.seconds for row in own) / 60:.1f} minutes of "
            f"{len({danced.performance(Path(row.source)) for row in own})} performances"
        )
    click.echo(f"{time.perf_counter() - began_s:.0f} s")
    if check:
        click.echo(json.dumps(dance_scores.of_corpus(Corpus(root)), indent=1))


if __name__ == "__main__":
    main()
