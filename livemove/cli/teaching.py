"""`livemove teach`: postures shown by example, listed and removed."""

from __future__ import annotations

import shlex
from typing import Any

import click

from livemove import numbers
from livemove.cli import text
from livemove.cli.calibrating import calibration_display
from livemove.cli.shared import (
    have_pose_model,
    json_option,
    mirrored_option,
    pose_options,
    print_json,
    print_table,
)


def moments(context: click.Context, parameter: click.Parameter, text: str) -> tuple[float, ...]:
    """ "3,8.5,14": seconds of a video."""
    try:
        return tuple(numbers.number(numbers.of_text(each.strip()), 0.0, 1e6) for each in text.split(",") if text)
    except ValueError as error:
        raise click.BadParameter(f"{error}; write seconds between commas, as in 3,8.5,14") from error


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listing", is_flag=True, help="The postures that were taught.")
@click.option("--remove", metavar="NAME", help="Forget one; its file stays as NAME.toml.bak.")
@click.option("--replace", is_flag=True, help="Teach one anew that is there; what it was stays as NAME.toml.bak.")
@click.option("--camera", "-c", default="0", show_default=True, metavar="N|URL|FILE|TAKE|demo", help="As in perform.")
@click.option(
    "--at", "at_s", default="", callback=moments, metavar="S,S,...",
    help="Of a video or take: when the posture is held, in seconds; three times are best.",
)  # fmt: skip
@click.option("--mirror", is_flag=True, help="As in perform.")
@mirrored_option
@pose_options
@json_option
def teach(
    name: str | None, listing: bool, remove: str | None, replace: bool, as_json: bool, at_s: tuple[float, ...],
    **options: Any,
) -> None:  # fmt: skip
    """Show a posture three times, as the screen says, and from then on it can play: 15 seconds.

    In mapping.toml it is a source, "posture.NAME", 0 to 1; [triggers.X] with posture = "NAME" fires once it has been
    held for 0.2 s: a note, a preset, freeze, record, an OSC or MIDI message ... It is recognised at any distance, by
    whoever stands so, and whichever way they face. What is like none of those that were taught is none.

    \b
    livemove teach arms_up                               before the webcam
    livemove teach arms_up -c dance.mp4 --at 3,8.5,14    from a video, which is held there at these seconds
    livemove teach --list
    livemove teach --remove arms_up
    """
    from livemove.body.posture_files import taught_in
    from livemove.body.postures import PREFIX
    from livemove.control.user_files import postures_folder
    from livemove.session import teach as session

    folder = postures_folder()
    if sum((listing, remove is not None, name is not None)) != 1:
        raise click.UsageError("name one posture to teach, or --list, or --remove NAME")
    if listing:
        found = session.listed(folder)
        if as_json:
            print_json(found)
        elif found:
            print_table(text.postures(found))
        else:
            click.echo(f"no postures in {folder} yet: livemove teach NAME")
        return
    if remove is not None:
        kept = session.remove_posture(folder, remove)
        click.echo(f"{remove} is forgotten; what it was: {kept}")
        return
    assert name is not None
    config = session.TeachConfig(name, at_s=at_s, **options)
    if at_s and config.capture.kind not in ("file", "take"):
        raise click.UsageError("--at goes with a video or a take: a camera is told when to look by the steps on screen")
    path = session.check_free(folder, name, replace)
    have_pose_model(config.capture)
    with calibration_display("teach") as on_progress:
        posture = session.teach(config, taught_in(folder), on_progress)
    there = path.exists()
    session.keep_posture(path, posture)
    if as_json:
        print_json(next(each for each in session.listed(folder) if each["name"] == name))
        return
    before = f" (the one that was there: {path.name}.bak)" if there else ""
    click.echo(f"kept: {path}{before}")
    click.echo(f"{len(posture.examples)} examples, {posture.spread:.2f} torso lengths apart")
    click.echo(f'in mapping.toml: source = "{PREFIX}{name}", or [triggers.X] with posture = "{name}"')
    click.echo(f"forget it: {shlex.join(['livemove', 'teach', '--remove', name])}")
