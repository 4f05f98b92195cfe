"""From single recorded hits to a corpus of percussion: `python training/corpora/hits.py VOICES -o DATA`.

In: a folder with body_percussion/, sonic_pi_percussion/ and their manifest.csv. Out: DATA, which training/train.py
reads. See training/data/percussion.py for what it makes of them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from livemove.cli.number_types import Number, Whole

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from training.data import command_line, percussion


@click.command(cls=command_line.Command, context_settings=command_line.SETTINGS)
@click.argument("voices", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "root", type=click.Path(path_type=Path), required=True, metavar="DATA",
    help="Folder of the corpus; made, or written again if it is there.",
)  # fmt: skip
@click.option("--clips", type=Whole(10), default=120, show_default=True, help="Every tenth is for validation.")
@click.option("--seconds", type=Number(1.0), default=10.0, show_default=True, help="Length of a clip.")
@click.option("--seed", type=Whole(), default=0, show_default=True, help="Another seed, another corpus.")
def main(voices: Path, root: Path, clips: int, seconds: float, seed: int) -> None:
    """Make sequences of hits, sparse and dense, with rolls, overlaps and rests, out of the single hits in VOICES.

    The channels are the envelopes of the body's hits (left_hand, right_hand, left_foot, right_foot, clap, landing), as
    livemove gives them on stage. Clips for validation are played on recordings that the others do not use.

    Exit code 0: it is all there; 2: a line says why not.
    """
    began_s = time.perf_counter()
    lowered = 0
    with command_line.progress("clips", clips) as say:
        for done, clip in enumerate(percussion.prepare(voices, root, clips, seconds, seed), 1):
            lowered += clip.gain < 1.0
            say(done, clip.key, clips)
    click.echo(
        f"{root}: {clips} clips ({clips * seconds:.0f} s) made in {time.perf_counter() - began_s:.1f} s; {lowered} "
        "lowered so as not to clip"
    )


if __name__ == "__main__":
    main()
