"""Which audio device plays, and how it is opened: options of commands that perform. Knows no device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from livemove.cli.number_types import Whole
from livemove.cli.shared import given
from livemove.controls import BLOCKS, SAMPLE_RATES
from livemove.playback.playback_config import LATENCY_BLOCKS, PlaybackConfig

_OPTIONS = (
    click.option(
        "--device",
        "-d",
        multiple=True,
        metavar="N|NAME",
        help="Audio device: number or part of its name (`livemove devices`). Several times: to change between while "
        "playing; without it, all there are.",
    ),
    click.option(
        "--block",
        type=Whole(*BLOCKS),
        default=PlaybackConfig.block,
        show_default=True,
        help="Buffer size of the audio device in frames: smaller reacts sooner, larger is safer.",
    ),
    click.option(
        "--latency",
        type=click.Choice(tuple(LATENCY_BLOCKS)),
        help=f"How the device is opened. low: blocks of {LATENCY_BLOCKS['low']}, and for nobody else where the system "
        f"has that (WASAPI, Core Audio); safe: blocks of {LATENCY_BLOCKS['safe']}, and the device's longest buffers. "
        "--block counts more; under JACK its server's period does.",
    ),
    click.option("--samplerate", type=Whole(*SAMPLE_RATES), help="Sample rate of the device, if not the model's."),
)


def audio_device_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--device (several), --block, --latency, --samplerate."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def block_of(context: click.Context, options: dict[str, Any], by_preset: bool) -> int:
    """Frames of a block: as asked for, by the command line or a preset; else as --latency has it."""
    if given(context, "block") or by_preset or options["latency"] is None:
        return options["block"]
    return LATENCY_BLOCKS[options["latency"]]
