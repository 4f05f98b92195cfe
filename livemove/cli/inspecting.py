"""What is here: `livemove devices`, `livemove models`, `livemove presets`, `livemove doctor`."""

from __future__ import annotations

from typing import Any

import click

from livemove.cli import text
from livemove.cli.shared import (
    UserError,
    json_option,
    pose_options,
    print_json,
    print_table,
    stderr_console,
)


@click.command()
@click.option("--input", "inputs", is_flag=True, help="What can be recorded from, for `livemove record --mic`.")
@json_option
def devices(inputs: bool, as_json: bool) -> None:
    """List audio devices, for `livemove perform --device N` or `--device "part of its name"`, and MIDI ports.

    Without any audio device the MIDI ports are listed all the same, and the exit code is 2.

    \b
    livemove devices
    livemove devices --json
    livemove devices --input
    """
    from dataclasses import asdict

    from livemove.contracts import ControlError
    from livemove.control.midi import port_names
    from livemove.diagnostics.doctor import audio_devices

    found = audio_devices("input" if inputs else "output")
    if as_json:
        print_json([asdict(device) for device in found])
        return
    if found:
        print_table(text.devices(found))
    try:
        print_table(text.midi_ports(*port_names()))
    except ControlError as error:
        click.echo(str(error), err=True)
    if not found:
        from livemove.playback.device import NO_DEVICE, NO_INPUT

        raise UserError(NO_INPUT if inputs else NO_DEVICE)


@click.command()
@click.argument("names", nargs=-1, metavar="[check] [NAME|DIR]...")
@click.option("--all", "everyone", is_flag=True, help="With check: every model that is found, as without a name.")
@json_option
def models(names: tuple[str, ...], everyone: bool, as_json: bool) -> None:
    """List the instruments, describe the one called NAME (or in folder NAME), or check them.

    check: are the files whole, and does every engine on this machine reproduce the golden vector? Exit code 1 if not.
    An engine that this machine lacks is named, and is no failure; nor is one of int8 weights that are too coarse for a
    model: it is refused there.

    \b
    livemove models
    livemove models theremin
    livemove models --json
    livemove models check --all
    livemove models check theremin
    """
    from livemove.bundle import find_bundle, list_bundles, load_bundle
    from livemove.cli.models import check, describe

    checking, wanted = names[:1] == ("check",), names[1:] if names[:1] == ("check",) else names
    if everyone and (wanted or not checking):
        raise click.UsageError("--all goes with check, and without names")
    if len(wanted) > 1 and not checking:
        raise click.UsageError(f"one model at a time, not {', '.join(wanted)}")
    paths = [find_bundle(name) for name in wanted] or list_bundles()
    if checking:
        found = [row for path in paths for row in check(path)]
        if as_json:
            print_json(found)
        else:
            print_table(text.checks(found))
            click.echo(text.checked(found))
        click.get_current_context().exit(any(row["state"] == "broken" for row in found))
    if wanted and not as_json:
        bundle = load_bundle(paths[0])
        click.echo(bundle.description_path.read_text(encoding="utf-8").rstrip())
        click.echo(f"\nfolder: {bundle.path}")
        for c in bundle.spec.channels:
            click.echo(f"channel {c.name}: {c.minimum:g} to {c.maximum:g} {c.unit}, at rest {c.rest:g}")
        return
    rows = [describe(path) for path in paths]
    if as_json:
        print_json(rows)
        return
    print_table(text.models(rows))


@click.command()
@json_option
def presets(as_json: bool) -> None:
    """List presets and set lists: `livemove perform --preset NAME` plays one, `--save NAME` keeps one.

    A preset is a TOML file; a file with `presets = ["soft", "loud"]` is a set list.

    \b
    livemove presets
    livemove presets --json
    """
    from livemove.control.presets import describe, preset_files
    from livemove.control.user_files import presets_folder

    found = [describe(path) for path in preset_files()]
    if as_json:
        print_json(found)
    elif found:
        print_table(text.presets(found))
    else:
        click.echo(f"no presets in {presets_folder()} yet: livemove perform --save NAME")


@click.command()
@click.option("--model", "-m", metavar="NAME|DIR", help="The model to be played; by default the first there is.")
@click.option(
    "--camera", "-c", default="0", show_default=True, metavar="N|URL|FILE|TAKE|demo", help="The camera to look through."
)
@pose_options
@json_option
def doctor(model: str | None, as_json: bool, **options: Any) -> None:
    """Examine this machine: Python, camera, pose model, audio devices, models, how fast the engines are, and whether
    one of them plays a model live while poses are found beside it. Stand in front of the camera meanwhile: it also
    says whether light, distance and frame rate are good enough, and which limbs are hard to see.

    Exit code 0: livemove is whole, though the machine may lack a camera or an audio device. 1: something is broken.

    \b
    livemove doctor
    livemove doctor --camera 1
    livemove doctor --json
    """
    from dataclasses import asdict

    from livemove.capture.capture_config import CaptureConfig
    from livemove.diagnostics.doctor import examine

    with stderr_console().status("examining …"):
        found = list(examine(CaptureConfig(**options), model))
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        print_table(text.findings(found))
    click.get_current_context().exit(any(finding.state == "broken" for finding in found))
