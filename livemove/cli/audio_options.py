"""Which audio device plays, and how it is opened: options of commands that perform. Knows no device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from livemove.cli.number_types import Whole
from livemove.cli.shared import given
from livemove.controls import BLOCKS, SAMPLE_RATES
from livemove.playback.playback_config import CLOCK, LATENCY_BLOCKS, PlaybackConfig

if TYPE_CHECKING:
    from livemove.session.perform import Report

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
        show_default="512, or what the device held in the last performance",
        help="Buffer size of the audio device in frames: smaller reacts sooner, larger is safer. Without it a minute "
        f"without an underrun makes the next performance's half as long, down to {LATENCY_BLOCKS['low']}.",
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


def block_is_free(context: click.Context, options: dict[str, Any], by_preset: bool) -> bool:
    """Whether nobody asked for a block: no option, no preset."""
    return not (given(context, "block") or by_preset or options["latency"] is not None)


def device_settings(context: click.Context, options: dict[str, Any], by_preset: bool) -> dict[str, Any]:
    """Of PlaybackConfig block, held and untold_s: what was asked for, by the command line, a preset or --latency, and
    what earlier performances and claps told. Raises ControlError."""
    from livemove.control.blocks import held_blocks
    from livemove.control.delays import device_delays_s

    latency, block = options["latency"], options["block"]
    if latency is not None and not (given(context, "block") or by_preset):
        block = LATENCY_BLOCKS[latency]
    held = held_blocks() if block_is_free(context, options, by_preset) else {}
    return {"block": block, "held": held, "untold_s": device_delays_s()}


def learnt_block(report: Report) -> list[str]:
    """What a performance tells of the next one's block, kept; a line if it is another. Under JACK the block is its
    server's."""
    from livemove.contracts import ControlError
    from livemove.control.blocks import learn

    device, block, underruns = report["device"], report["block"], report["ring_starvations"]
    if device is None or device == CLOCK or "JACK" in device:
        return []
    try:
        following = learn(device, block, report["seconds"], underruns)
    except ControlError as error:
        return [f"the block that {device} held is not kept: {error}"]
    if following is None:
        return []
    told = f"{underruns} underruns" if following > block else "not one underrun"
    return [f"{device}: {told} with blocks of {block}; the next performance asks for {following} (--block)"]
