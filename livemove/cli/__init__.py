"""The command line: livemove perform | calibrate | record | learn | render | replay | latency | devices | features ...

In: options. Out: text on the terminal, JSON where asked, exit code 0, 2 (something to mend, one line says what) or 130.
Nothing else prints or exits. Whatever is heavy is imported by the command that needs it, so that --help is quick.
"""

from __future__ import annotations

from typing import Any

import click

from livemove import __version__
from livemove.cli.benchmark import bench
from livemove.cli.calibrating import calibrate
from livemove.cli.features import features
from livemove.cli.inspecting import devices, doctor, models, presets
from livemove.cli.latency import latency
from livemove.cli.learning import learn
from livemove.cli.performing import perform
from livemove.cli.shared import OTHER_NAMES, UserError
from livemove.cli.soaking import soak
from livemove.cli.streams import ended_tidily, keep_streams
from livemove.cli.takes import record, render, replay


class _Group(click.Group):
    """Turns LivemoveErrors and what cannot be understood into one line, and Ctrl-C into exit code 130; what it writes
    outlives the terminal."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        keep_streams()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with ended_tidily():
                result = super().invoke(ctx)
            for line in ctx.meta.get(OTHER_NAMES, ()):
                click.echo(line, err=True)
            return result
        except Exception as error:
            from livemove.contracts import LivemoveError

            if isinstance(error, LivemoveError):
                raise UserError(str(error)) from error
            if isinstance(error, click.UsageError):
                command = error.ctx.command_path if error.ctx else "livemove"
                raise UserError(f"{error.format_message()} ({command} --help lists all there is)") from error
            raise
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="livemove")
def main() -> None:
    """Play music with your body: a camera sees you move, a neural network turns it into sound while you do.

    \b
    livemove perform                              stand in front of the webcam and play
    livemove perform --camera demo                hear it without a camera
    livemove calibrate                            20 seconds of moving, and it fits your body
    livemove render clip.mp4 -o clip-played.mp4   let a video play the instrument
    livemove record --sound song.wav takes/       record a video of yourself dancing to a song, to train on
    livemove learn flute.wav                      make an instrument of a minute of your own sound
    livemove features --camera 0                  what of your body can play, live
    livemove doctor                               what works on this machine, what does not
    """


for _command in (
    *(
        perform,
        calibrate,
        record,
        learn,
        render,
        replay,
        latency,
        devices,
        features,
        models,
        presets,
        bench,
        soak,
        doctor,
    ),
):
    main.add_command(_command)
