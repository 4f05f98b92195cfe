"""The command line: livemove perform | calibrate | record | render | replay | devices | models | presets | bench ...

In: options. Out: text on the terminal, JSON where asked, exit code 0, 2 (something to mend, one line says what) or 130.
The only file that prints or exits. Whatever is heavy is imported by the command that needs it, so that --help is quick.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from livemove import __version__, wording

if TYPE_CHECKING:
    from rich.console import Console

    from livemove.calibration import Progress as Calibrating
    from livemove.record import Progress as Take
    from livemove.render import Progress
    from livemove.session import Status

PLAIN_STATUS_S = 5.0
"""How often perform says where it is when nobody watches a terminal."""

ENGINES = ("auto", "native", "native-int8", "cuda", "onnx", "reference")
"""What `synthesis.engine_names()` gives, known here without loading any."""

PROVIDERS = ("cpu", "cuda", "coreml", "directml")
"""What `synthesis.onnx.PROVIDERS` knows, likewise."""

BENCH_ENGINES = ("native", "native-int8", "cuda", "onnx", "reference")

POSE_PICTURES = 200
"""How many pictures `bench --clip` looks at."""


Command = TypeVar("Command", bound=Callable[..., Any])


class _Mendable(click.ClickException):
    """What somebody can mend, as click reports it: one line each, exit code 2."""

    exit_code = 2

    def __init__(self, *troubles: str) -> None:
        super().__init__("; ".join(troubles))
        self.troubles = troubles

    def show(self, file: Any = None) -> None:
        for trouble in self.troubles:
            click.echo(f"livemove: {' '.join(trouble.split())}", err=True)


class _Group(click.Group):
    """Turns LivemoveErrors into one line, and Ctrl-C into exit code 130."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            from livemove.contracts import LivemoveError

            if isinstance(error, LivemoveError):
                raise _Mendable(str(error)) from error
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
    livemove render clip.mp4 -o clip-played.mp4   let a film play the instrument
    livemove record --sound song.wav takes/       film yourself moving to a song, to train on
    livemove doctor                               what works on this machine, what does not
    """


# --- options that several commands share --------------------------------------------------------------------


def _pose_options(command: Command) -> Command:
    """How the body is seen: the same wherever a camera is looked through."""
    path = click.option("--pose-model", type=click.Path(path_type=Path), metavar="FILE",
                        help="Pose model file (.task) to use instead of the one fetched at first use.")  # fmt: skip
    kind = click.option("--pose", type=click.Choice(["full", "lite"]), default="full", show_default=True,
                        help="MediaPipe's pose model: full sees more exactly, lite is faster.")  # fmt: skip
    return kind(path(command))


def _instrument_options(command: Command) -> Command:
    """Options about what plays: the same in perform and render, but for the model: perform may load several."""
    options = [
        click.option("--engine", type=click.Choice(ENGINES), default="auto",
                     show_default=True, help="What computes the sound. auto: the fastest that passes its test."),
        click.option("--provider", type=click.Choice(PROVIDERS), default="cpu",
                     show_default=True, help="What the onnx engine runs on; README says how to install the others."),
        _pose_options,
        click.option("--mapping", type=click.Path(path_type=Path), metavar="FILE",
                     help="Your own mapping.toml: which part of the body plays what."),
        click.option("--style", default=None, metavar="NAME|N", help="Style, for models that have some."),
        click.option("--temperature", type=click.FloatRange(0.0, 4.0), default=1.0, show_default=True,
                     help="Above 1 wilder, below 1 calmer; a factor on the model's own."),
        click.option("--gain", type=click.FloatRange(0.0, 10.0), default=1.0, show_default=True,
                     help="Loudness, as a factor."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                     help="Same seed, same random choices of the network."),
        click.option("--report", type=click.Path(path_type=Path), metavar="FILE",
                     help="Write what happened as JSON ('-': to standard output)."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _model_option(several: bool) -> Callable[[Command], Command]:
    more = " Several times: all are loaded, to switch between while playing." if several else ""
    return click.option(
        "--model", "-m", "models" if several else "model", multiple=several, show_default=True, metavar="NAME|DIR",
        default=("theremin",) if several else "theremin",
        help=f"The instrument: a name from `livemove models`, or a folder.{more}",
    )  # fmt: skip


def _have_pose_model(camera: str, kind: str, path: Path | None) -> None:
    """Fetch the pose model where one can see it come, if it is needed and not there yet."""
    from livemove.capture.config import CaptureConfig
    from livemove.capture.posemodel import MODELS, cache_folder, find_pose_model

    poses_are_there = CaptureConfig(camera=camera).kind in ("demo", "take")
    if poses_are_there or path is not None or (cache_folder() / MODELS[kind].file).exists():
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn
    from rich.progress import Progress as ProgressBar

    from livemove.capture.sources import check_source

    check_source(CaptureConfig(camera=camera))  # no use in fetching it for a camera that is not there
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with ProgressBar(*columns, console=_console(), transient=True) as bar:
        task = bar.add_task(f"pose model ({kind}), once", total=None)
        find_pose_model(kind, None, lambda done, total: bar.update(task, completed=done, total=total or None))


def _check_report(report: Path | None) -> None:
    """Find out before the show, not after it, that the report cannot be written."""
    if report is not None and str(report) != "-":
        _write_text(report, "", "a")


def _write_report(report: Path | None, content: Any) -> None:
    text = json.dumps(content, indent=1)
    if report is None:
        return
    if str(report) == "-":
        click.echo(text)
    else:
        _write_text(report, text + "\n")


def _write_text(path: Path, text: str, mode: str = "w") -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        from livemove.contracts import OutputError

        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _console() -> Console:
    """For what is worth seeing but not the result: standard error.

    On a descriptor of its own: the pose model's library is noisy, and while it is hushed, so is descriptor 2.
    """
    from rich.console import Console

    return Console(file=os.fdopen(os.dup(2), "w", encoding="utf-8"), highlight=False)


# --- perform ------------------------------------------------------------------------------------------------


@main.command()
@click.option(
    "--camera",
    "-c",
    multiple=True,
    default=("0",),
    show_default=True,
    metavar="N|FILE|URL|TAKE|demo",
    help="Webcam by number, a video file at its own pace, an http or rtsp address, a take, or a dancer we made up. "
    "Several times: to change between while playing.",
)
@click.option("--loop", is_flag=True, help="Start a video file again at its end.")
@click.option("--mirror", is_flag=True, help="Show the picture as a mirror does.")
@click.option(
    "--device",
    "-d",
    multiple=True,
    metavar="N|NAME",
    help="Sound card: number or part of its name (`livemove devices`). Several times: to change between while playing; "
    "without it, all there are.",
)
@click.option(
    "--block",
    type=click.IntRange(32, 8192),
    default=512,
    show_default=True,
    help="Frames the sound card asks for at once: fewer is quicker, more is safer.",
)
@click.option("--samplerate", type=click.IntRange(8000, 192000), help="Rate of the sound card, if not the model's.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE.wav",
    help="Record what is played; needs no sound card.",
)
@click.option("--record", is_flag=True, help="Record a take from the start; it can be begun and ended at any time.")
@click.option(
    "--takes",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where takes go; without it, into the folder you are in.",
)
@click.option("--film", is_flag=True, help="Takes keep the camera's picture too, for `livemove render TAKE -o X.mp4`.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Stop after that.")
@click.option(
    "--look-ahead",
    type=click.FloatRange(0, 80),
    default=0,
    show_default=True,
    metavar="MS",
    help="Guess where the body will be, to feel quicker.",
)
@click.option(
    "--monitor/--no-monitor",
    default=None,
    help="The window with picture, sound and figures; without either, one opens where there is a display.",
)
@click.option(
    "--osc", metavar="[HOST:]PORT", help="Listen for OSC: a port for this machine only, 0.0.0.0:9000 for the network."
)
@click.option("--osc-out", metavar="[HOST:]PORT", help="Send features and channels there as OSC, at the rate of poses.")
@click.option(
    "--preset",
    "-p",
    "preset_names",
    multiple=True,
    metavar="NAME|FILE",
    help="Begin as this preset says (`livemove presets`); several, or a set list, are there to switch between.",
)
@click.option("--save", metavar="NAME", help="At the end, keep model, devices and what was set last as this preset.")
@click.option("--muted", is_flag=True, help="Begin in silence.")
@click.option("--midi", metavar="NAME", help="Play and steer by MIDI: part of a port's name (`livemove devices`).")
@click.option("--midi-out", metavar="NAME", help="Send channels there as MIDI control changes 20, 21 ...")
@click.option("--mpe", is_flag=True, help="With --midi-out: as MPE notes instead (bend, pressure, CC 74).")
@click.option("--link", is_flag=True, help="Join Ableton Link: link.beat, link.phase and link.tempo are sources.")
@click.option(
    "--learn",
    metavar="WHAT",
    help="The first MIDI knob, pad or pedal you move plays gain, mute, freeze, panic, octave ...",
)
@_model_option(several=True)
@_instrument_options
@click.pass_context
def perform(
    context: click.Context,
    report: Path | None,
    models: tuple[str, ...],
    style: str | None,
    duration: float | None,
    look_ahead: float,
    monitor: bool | None,
    learn: str | None,
    mapping: Path | None,
    preset_names: tuple[str, ...],
    save: str | None,
    **options: Any,
) -> None:
    """Play live: camera, pose, network, sound card. Ctrl-C ends it, or Q twice in the window.

    Stand so that the camera sees you from head to hips at least. With the theremin, your right hand's height is
    the pitch, your left hand's height the loudness, and the distance between your hands the brightness.

    \b
    livemove perform                                     webcam and default sound card
    livemove perform --camera demo                       no camera: a dancer we made up
    livemove perform --camera demo -o take.wav           no sound card either: into a file
    livemove perform --camera dance.mp4 --loop           a film plays
    livemove perform --device "USB" --block 256          a certain sound card, quicker
    livemove perform -c 0 -c demo -d USB -d HDMI         cameras and sound cards to change between while playing
    livemove perform --mapping my.toml                   your own mapping
    livemove perform --duration 30 --report r.json       half a minute, measured
    livemove perform --record --takes ~/takes            a take: sound, poses, channels and controls on one clock
    livemove perform --no-monitor                        without the window: the same keys, typed in the terminal
    livemove perform -m theremin -m mine --osc 9000      two models to switch between, steered by OSC
    livemove perform --midi nano --learn gain            then move the knob that is to be the gain, once for ever
    livemove perform --midi-out surge --mpe              your body plays a synthesizer: one note, bent and pressed
    livemove perform --link --mapping pulse.toml         a channel follows the beat: source = "link.beat"
    livemove perform --film --takes ~/takes              takes keep what the camera saw as well (R begins one)
    livemove perform -m mine --gain 0.5 --save soft      what is set at its end is the preset "soft"
    livemove perform -p soft -p loud                     two presets, next and previous by key, MIDI or OSC
    """
    from livemove.bundle import find_bundle
    from livemove.capture.config import CaptureConfig
    from livemove.capture.sources import check_source
    from livemove.catalogue import model_name, repertoire, style_index
    from livemove.contracts import CameraError, ControlError, DeviceError
    from livemove.control import keys
    from livemove.control.config import ControlConfig, address
    from livemove.control.kept import learnt_file
    from livemove.control.presets import Devices, check_name, from_controls, save_preset, set_list
    from livemove.control.vocabulary import learnable
    from livemove.doctor import whatever_is_missing
    from livemove.monitor.config import has_display
    from livemove.session import Plugs, SessionConfig, run_session
    from livemove.terminal import typed_keys

    _check_report(report)
    if save is not None:
        check_name(save)
    cameras, cards = options["camera"], options["device"]
    for further in (CaptureConfig(camera=camera) for camera in cameras[1:]):
        if further.kind == "file":  # the first says itself what is wrong; a webcam or an address may be there later
            check_source(further)
    options.update(camera=cameras[0], device=next(iter(cards), None))
    presets = set_list(preset_names)
    if presets:
        if _given(context, "models") or _given(context, "mapping"):
            raise ControlError("a preset names its model and mapping: leave out --model and --mapping")
        voices, controls = repertoire(presets)
        first = presets[0]
        chosen = {"gain": first.gain, "temperature": first.temperature, "muted": first.muted}
        chosen = {**chosen, **{key: value for key, value in vars(first.devices).items() if value is not None}}
        options.update({key: value for key, value in chosen.items() if not _given(context, key)})
        if not _given(context, "look_ahead"):
            look_ahead = first.look_ahead_ms
    else:
        voices, controls = [(find_bundle(model), mapping) for model in models], ()
    (folder, mapping), *others = voices
    if options["mpe"] and options["midi_out"] is None:
        raise ControlError("--mpe needs --midi-out NAME: where it goes")
    osc, osc_out = options.pop("osc"), options.pop("osc_out")
    config = SessionConfig(
        model=folder,
        mapping=mapping,
        others=tuple(others),
        presets=controls,
        plugs=tuple(
            Plugs(**{name: None if _given(context, name) else vars(preset.devices)[name] for name in vars(Plugs())})
            for preset in presets
        ),
        cameras=cameras[1:],
        devices=cards[1:] and cards,
        control=ControlConfig(
            osc=address(osc) if osc else None,
            osc_out=address(osc_out) if osc_out else None,
            midi=options.pop("midi"),
            midi_out=options.pop("midi_out"),
            mpe=options.pop("mpe"),
            link=options.pop("link"),
            learnt=learnt_file(),
            presets=tuple(preset.name for preset in presets),
        ),
        learn=learnable(learn) if learn else 0,
        style=controls[0].style if controls and style is None else style_index(style, folder),
        lookahead_s=look_ahead / 1000,
        duration_s=duration,
        monitor=has_display() if monitor is None else monitor,
        **options,
    )
    seen: list[Status] = []

    def remember(status: Status) -> None:
        seen[:] = [status]
        on_status(status)

    try:
        _have_pose_model(config.camera, config.pose, config.pose_model)
        with _status_display(folder.name) as on_status, typed_keys() as typed:
            if typed is not None and not config.monitor:
                click.echo(keys.HELP, err=True)
            result = run_session(config, remember, None if typed is None else lambda: keys.asked(typed()))
    except (CameraError, DeviceError) as error:
        raise _Mendable(*whatever_is_missing(config.camera, config.device, config.output, error)) from error
    _write_report(report, result)
    for line in wording.farewell(result, config.output):
        click.echo(line, err=True)
    if save is not None:
        last, control = seen[0].controls, config.control
        played, its_mapping = voices[last.model]
        devices = Devices(
            seen[0].camera, config.mirror, seen[0].card, config.block, config.samplerate, osc, osc_out, control.midi,
            control.midi_out, control.mpe or None, control.link or None,
        )  # fmt: skip
        kept = save_preset(from_controls(save, model_name(played), its_mapping, last, devices))
        click.echo(f"kept: {kept}", err=True)


def _given(context: click.Context, name: str) -> bool:
    """Whether somebody typed that option."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


@contextlib.contextmanager
def _status_display(model: str) -> Generator[Callable[[Status], None]]:
    """A live line on a terminal; elsewhere the same line every few seconds, without colours."""
    console = _console()
    if console.is_terminal:
        from rich.live import Live
        from rich.text import Text

        with Live(Text("starting …"), console=console, refresh_per_second=8, transient=True) as live:
            yield _teller(
                lambda notice: live.console.print(notice, markup=False),
                lambda status: live.update(Text.from_markup(wording.status_line(status, model))),
            )
        return
    last_s = -math.inf

    def show(status: Status) -> None:
        nonlocal last_s
        if status.phase == "playing" and status.seconds - last_s >= PLAIN_STATUS_S:
            last_s = status.seconds
            console.print(wording.status_line(status, model), soft_wrap=True)

    yield _teller(lambda notice: console.print(notice, markup=False, soft_wrap=True), show)


def _teller(say: Callable[[str], None], show: Callable[[Status], None]) -> Callable[[Status], None]:
    """Gives each notice to say, each status to show. Until it plays, notices wait: a start that fails has one line."""
    waiting: list[str] = []

    def tell(status: Status) -> None:
        if status.notice:
            waiting.append(status.notice)
        if status.seconds > 0:
            while waiting:
                say(waiting.pop(0))
        show(status)

    return tell


# --- calibrate ----------------------------------------------------------------------------------------------


@main.command()
@click.option("--camera", "-c", default="0", show_default=True, metavar="N|URL|FILE|TAKE|demo", help="As in perform.")
@click.option("--mirror", is_flag=True, help="As in perform.")
@click.option(
    "--preset",
    "-p",
    metavar="NAME|FILE",
    help="For this preset: its model and mapping; the fitted one is kept with it.",
)
@_model_option(several=False)
@click.option(
    "--mapping",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The mapping to fit, if not the model's own; it stays as it is.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Where the fitted mapping goes; without it and --preset, among your settings.",
)
@_pose_options
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long all steps together take (20), or how much of a film is watched (all of it).",
)
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
@click.pass_context
def calibrate(
    context: click.Context, preset: str | None, model: str, output: Path | None, as_json: bool, **options: Any
) -> None:
    """Fit the mapping to your body, your room and your camera: 20 seconds of moving as the screen says.

    Stand still, arms up, down, wide, crouch, then move as you will on stage. What you reach in these seconds is the
    whole range of every channel from then on. What you do not move keeps the range it had. Ctrl-C changes nothing.
    A film, a take or the demo is watched as it is.

    \b
    livemove calibrate                                  webcam, the theremin
    livemove calibrate --preset soft                    for this preset, and kept with it
    livemove calibrate -m mine --mapping my.toml -o me.toml
    livemove calibrate --camera rehearsal.mp4           from a film of you
    livemove calibrate --duration 40                    with more time for each step
    """
    import shlex

    from livemove import calibration
    from livemove.bundle import find_bundle
    from livemove.catalogue import model_name
    from livemove.contracts import ControlError
    from livemove.control.kept import config_folder
    from livemove.control.presets import fitted_mapping, keep_fitted_mapping, one_preset

    file = None
    if preset is not None:
        if _given(context, "model") or output is not None:
            raise ControlError("a preset names its model and keeps its mapping: leave out --model and --output")
        file, kept = one_preset(preset)
        model = kept.model
        if not _given(context, "camera") and kept.devices.camera is not None:
            options["camera"] = kept.devices.camera
        if not _given(context, "mirror") and kept.devices.mirror is not None:
            options["mirror"] = kept.devices.mirror
        options["mapping"] = options["mapping"] or (Path(kept.mapping) if kept.mapping else None)
    config = calibration.CalibrationConfig(model=find_bundle(model), **options)
    written = output or config_folder() / "mappings" / f"{config.model.name}.toml"
    written = written if file is None else fitted_mapping(file)
    calibration.check_place(written)
    _have_pose_model(config.camera, config.pose, config.pose_model)
    with _calibration_display() as on_progress:
        done = calibration.calibrate(config, on_progress)
    play = ["livemove", "perform", "--camera", config.camera, *(["--mirror"] if config.mirror else [])]
    if file is None:
        calibration.keep_mapping(written, done.text)
        play += ["--model", model_name(config.model), "--mapping", str(written)]
    else:
        keep_fitted_mapping(file, done.text)
        play += ["--preset", str(preset)]
    if as_json:
        _print_json(calibration.report(done, written, play))
        return
    _print_table(wording.calibrated(done.channels))
    click.echo(f"kept: {written}\nplay with it: {shlex.join(play)}")


@contextlib.contextmanager
def _calibration_display() -> Generator[Callable[[Calibrating], None]]:
    """On a terminal big letters, and a bell at each step for who looks elsewhere; without one a line for each step."""
    console = _console()
    last: Any = None

    def is_new(now: Calibrating) -> bool:
        """Whether it is another step."""
        nonlocal last
        before, last = last, (now.phase, now.step)
        return before != last

    if console.is_terminal:
        from rich.live import Live
        from rich.text import Text

        with Live(Text("starting …"), console=console, refresh_per_second=10, transient=True) as live:

            def update(now: Calibrating) -> None:
                if is_new(now) and now.phase == "moving":
                    live.console.bell()
                live.update(Text.from_markup(wording.calibration(now, live.console.width)))

            yield update
        return

    def show(now: Calibrating) -> None:
        if is_new(now):
            console.print(wording.calibration_line(now), soft_wrap=True)

    yield show


# --- record -------------------------------------------------------------------------------------------------


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--camera",
    "-c",
    default="0",
    show_default=True,
    metavar="N|URL|FILE",
    help="Webcam by number, an http or rtsp address, or a video file at its own pace.",
)
@click.option(
    "--sound",
    "-s",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Play this (WAV, FLAC, Ogg, MP3, a film's sound ...); the take lasts as long.",
)
@click.option(
    "--mic", is_flag=True, help="Record voice or instrument; with --sound (on headphones), the microphone is kept."
)
@click.option("--name", metavar="TAKE", help="The take becomes FOLDER/TAKE.mp4; without it, date and time.")
@click.option(
    "--count-in",
    "count_in_s",
    type=click.IntRange(0, 60),
    default=0,
    show_default=True,
    metavar="SECONDS",
    help="Time to get into place, one beep a second.",
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End the take after that.",
)
@click.option(
    "--device", "-d", metavar="N|NAME", help="Sound card that plays: number or part of its name (`livemove devices`)."
)
@click.option("--input-device", metavar="N|NAME", help="What --mic records from (`livemove devices --input`).")
@click.option(
    "--camera-delay",
    type=click.FloatRange(0, 1000),
    default=0,
    show_default=True,
    metavar="MS",
    help="How long a picture takes from the camera to us; see above.",
)
def record(camera_delay: float, **options: Any) -> None:
    """Film yourself moving to a sound, both on one clock, as a take in FOLDER to train on.

    Picture and sound are in FOLDER/TAKE.mp4 (H.264 and FLAC), never mirrored. What you heard and what the camera saw
    at one moment have one time in it. Ctrl-C ends a take and keeps it; after a crash all but its last two seconds can
    be read. Nothing is ever overwritten. Then: `python training/prepare.py FOLDER -o DATA`.

    A camera's own delay (mostly 20 to 80 ms) cannot be known from here. To measure it, record yourself clapping with
    --mic, look in the take how much later the hands meet than it claps, and give that to --camera-delay from then on.

    \b
    livemove record --sound song.wav takes/                      dance to a song
    livemove record --sound song.wav --count-in 5 takes/         with time to get into place
    livemove record --mic --duration 60 takes/                   sing or play while you move
    livemove record --mic --sound beat.mp3 takes/                the same, to a beat on headphones
    livemove record --camera http://phone:8080/video --sound song.wav --camera-delay 120 takes/
    """
    from livemove.record import RecordConfig
    from livemove.record import record as record_take

    config = RecordConfig(camera_delay_s=camera_delay / 1000, **options)
    if config.sound is None and not config.mic:
        raise _Mendable("nothing to record: give --sound FILE to move to, or --mic to record what you sing or play")
    with _take_display() as on_progress:
        report = record_take(config, on_progress)
    click.echo(wording.recorded(report), err=True)


@contextlib.contextmanager
def _take_display() -> Generator[Callable[[Take], None]]:
    """A live line on a terminal; elsewhere the same line every few seconds, and what there is to notice."""
    console = _console()
    if console.is_terminal:
        from rich.live import Live
        from rich.text import Text

        with Live(Text("starting …"), console=console, refresh_per_second=8, transient=True) as live:

            def update(take: Take) -> None:
                if take.notice:
                    live.console.print(take.notice, markup=False)
                live.update(Text.from_markup(wording.take_line(take)))

            yield update
        return
    last_s = -math.inf

    def show(take: Take) -> None:
        nonlocal last_s
        if take.notice:
            console.print(take.notice, markup=False, soft_wrap=True)
        if take.phase != "starting" and take.seconds - last_s >= PLAIN_STATUS_S:
            last_s = take.seconds
            console.print(wording.take_line(take), soft_wrap=True)

    yield show


# --- render -------------------------------------------------------------------------------------------------


@main.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.wav|FILE.mp4",
    help="WAV: the sound. mp4: the clip with the sound under its picture.",
)
@click.option(
    "--duration", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Only the clip's first seconds."
)
@_model_option(several=False)
@_instrument_options
def render(report: Path | None, model: str, style: str | None, duration: float | None, **options: Any) -> None:
    """Let the dancer in CLIP play the instrument; as fast as the machine can, the same file for the same seed.

    \b
    livemove render dance.mp4 -o dance-played.mp4        the film with its new sound
    livemove render dance.mp4 -o dance.wav --pose lite   the sound alone, quicker
    livemove render dance.mp4 -o b.wav --seed 2          another take
    livemove render take-20260131-203000 -o film.mp4     a take: the dancer drawn in light, under what was played
    """
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    from livemove.bundle import find_bundle
    from livemove.catalogue import style_index
    from livemove.render import RenderConfig
    from livemove.render import render as render_clip
    from livemove.takefolder import is_take

    _check_report(report)
    if is_take(options["clip"]):
        _film_take(options["clip"], options["output"], report)
        return
    folder = find_bundle(model)
    config = RenderConfig(model=folder, style=style_index(style, folder), duration_s=duration, **options)
    _have_pose_model(str(config.clip), config.pose, config.pose_model)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=_console(), transient=True) as bar:
        task = bar.add_task("sound")

        def show(progress: Progress) -> None:
            bar.update(task, description=progress.stage, completed=progress.done_s, total=progress.total_s)

        result = render_clip(config, show)
    _write_report(report, result)
    click.echo(wording.rendered(result), err=True)


def _film_take(folder: Path, output: Path, report: Path | None) -> None:
    from livemove.contracts import OutputError
    from livemove.render import check_output
    from livemove.takefilm import film_take
    from livemove.takefolder import load_take

    if output.suffix.lower() != ".mp4":
        raise OutputError(f"{output}: a take becomes an mp4; its sound is {folder / 'take.wav'} already")
    check_output(output)
    take = load_take(folder)
    with _progress("picture") as show:
        film_take(take, output, lambda done_s: show(done_s, take.seconds))
    _write_report(report, {"take": str(folder), "output": str(output), "seconds": take.seconds})
    click.echo(f"{output}: {take.seconds:.1f} s", err=True)


@contextlib.contextmanager
def _progress(stage: str) -> Generator[Callable[[float, float], None]]:
    """A bar; what it yields takes the seconds done and those of all."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=_console(), transient=True) as bar:
        task = bar.add_task(stage)
        yield lambda done_s, total_s: bar.update(task, completed=done_s, total=total_s)


# --- replay -------------------------------------------------------------------------------------------------


@main.command()
@click.argument("take", type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="FILE.wav", help="Into a file, as fast as it goes."
)
@click.option("--model", "-m", metavar="NAME|DIR", help="Another instrument than the one that played.")
@click.option("--engine", type=click.Choice(ENGINES), help="Another engine than the one that played.")
@click.option("--provider", type=click.Choice(PROVIDERS), default="cpu", help="What the onnx engine runs on.")
@click.option("--mapping", type=click.Path(path_type=Path), metavar="FILE", help="Another mapping than the take's.")
@click.option("--device", "-d", metavar="N|NAME", help="Sound card, when played live.")
@click.option("--loop", is_flag=True, help="Again and again, when played live.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what happened as JSON ('-': to standard output).",
)
def replay(
    take: Path, output: Path | None, report: Path | None, device: str | None, loop: bool, **options: Any
) -> None:
    """Play a take again: live, its movement in place of the camera; with --output, the same sound to the bit.

    With another model, engine or mapping it is the movement that is played, and the hands at the controls.

    \b
    livemove replay take-20260131-203000                       live, to the sound card
    livemove replay take-20260131-203000 -m mine               live, through another model
    livemove replay take-20260131-203000 -o again.wav          bit by bit what was played; says so, or why not
    livemove replay take-20260131-203000 -m mine -o mine.wav   its movement, through another model
    """
    from livemove.replay import ReplayConfig, live_choice
    from livemove.replay import replay as replay_take

    _check_report(report)
    model = options.pop("model")
    if output is not None:
        config = ReplayConfig(take, output, model, **options)
        with _progress("sound") as show:
            done = replay_take(config, show)
        _write_report(report, done)
        click.echo(wording.replayed(done), err=True)
        return
    from livemove.contracts import DeviceError
    from livemove.doctor import whatever_is_missing
    from livemove.monitor.config import has_display
    from livemove.session import SessionConfig, run_session

    folder, mapping, seed = live_choice(take, model, options.pop("mapping"))
    live = SessionConfig(
        model=folder, mapping=mapping, seed=seed, camera=str(take), loop=loop, device=device, monitor=has_display(),
        engine=options["engine"] or "auto", provider=options["provider"],
    )  # fmt: skip
    try:
        with _status_display(folder.name) as on_status:
            result = run_session(live, on_status)
    except DeviceError as error:
        raise _Mendable(*whatever_is_missing(live.camera, device, None, error)) from error
    _write_report(report, result)
    for line in wording.farewell(result, None):
        click.echo(line, err=True)


# --- looking around -----------------------------------------------------------------------------------------


def _json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")(command)


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=1))


def _print_table(content: wording.Rows) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in content.columns:
        table.add_column(column.rstrip(">"), justify="right" if column.endswith(">") else "left", overflow="fold")
    for row in content.rows:
        table.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 250  # a pipe has no width; do not break lines there
    console.print(table)


@main.command()
@click.option("--input", "inputs", is_flag=True, help="What can be recorded from, for `livemove record --mic`.")
@_json_option
def devices(inputs: bool, as_json: bool) -> None:
    """List sound cards, for `livemove perform --device N` or `--device "part of its name"`, and MIDI ports.

    \b
    livemove devices
    livemove devices --json
    livemove devices --input
    """
    from dataclasses import asdict

    from livemove.contracts import ControlError
    from livemove.control.midi import port_names
    from livemove.doctor import sound_cards

    found = sound_cards("input" if inputs else "output")
    if as_json:
        _print_json([asdict(device) for device in found])
        return
    if not found:
        from livemove.playback.device import NO_DEVICE, NO_INPUT

        raise _Mendable(NO_INPUT if inputs else NO_DEVICE)
    _print_table(wording.devices(found))
    try:
        _print_table(wording.midi_ports(*port_names()))
    except ControlError as error:
        click.echo(str(error), err=True)


@main.command()
@click.argument("names", nargs=-1, metavar="[check] [NAME|DIR]")
@_json_option
def models(names: tuple[str, ...], as_json: bool) -> None:
    """List the instruments, describe the one called NAME (or in folder NAME), or check them.

    check: are the files whole, and does every engine on this machine reproduce the golden vector? Exit code 1 if not.

    \b
    livemove models
    livemove models theremin
    livemove models --json
    livemove models check
    livemove models check theremin
    """
    from livemove.bundle import find_bundle, list_bundles, load_bundle
    from livemove.catalogue import check, describe

    checking, wanted = names[:1] == ("check",), names[1:] if names[:1] == ("check",) else names
    if len(wanted) > 1:
        raise click.UsageError(f"one model at a time, not {', '.join(wanted)}")
    paths = [find_bundle(name) for name in wanted] or list_bundles()
    if checking:
        found = [row for path in paths for row in check(path)]
        if as_json:
            _print_json(found)
        else:
            _print_table(wording.checks(found))
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
        _print_json(rows)
        return
    _print_table(wording.models(rows))


@main.command()
@_json_option
def presets(as_json: bool) -> None:
    """List presets and set lists: `livemove perform --preset NAME` plays one, `--save NAME` keeps one.

    A preset is a TOML file; a file with `presets = ["soft", "loud"]` is a set list.

    \b
    livemove presets
    livemove presets --json
    """
    from livemove.control.kept import presets_folder
    from livemove.control.presets import describe, preset_files

    found = [describe(path) for path in preset_files()]
    if as_json:
        _print_json(found)
    elif found:
        _print_table(wording.presets(found))
    else:
        click.echo(f"no presets in {presets_folder()} yet: livemove perform --save NAME")


# --- how fast? ----------------------------------------------------------------------------------------------


@main.command()
@click.option(
    "--model",
    "-m",
    "names",
    multiple=True,
    metavar="NAME|DIR",
    help="Measure this model; without it, the family's two settings with random weights.",
)
@click.option(
    "--engine",
    "-e",
    "engines",
    multiple=True,
    type=click.Choice(BENCH_ENGINES),
    help="Only this engine; may be given several times.",
)
@click.option("--repeats", type=click.IntRange(1, 100), default=7, show_default=True, help="Rounds; medians are shown.")
@click.option(
    "--sizes", is_flag=True, help="Also widths, depths, bands and receptive fields, and several streams at once."
)
@click.option("--baseline", type=click.Choice(("torch",)), help="Beside an eager PyTorch generator, for scale.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw it, too.")
@click.option(
    "--steady",
    "minutes",
    type=click.FloatRange(min=0.01),
    metavar="MINUTES",
    help="Instead: so long at real-time pace for each engine, the other cores busy. Exit code 1: a hop was late.",
)
@click.option(
    "--clip",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Instead: how long it takes to find the pose in a picture of this film.",
)
@_pose_options
@_json_option
def bench(
    names: tuple[str, ...], engines: tuple[str, ...], repeats: int, sizes: bool, baseline: str | None,
    plot: Path | None, minutes: float | None, clip: Path | None, pose: str, pose_model: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Measure the engines on one thread, beside the matrix product (sgemm) of the same core.

    \b
    livemove bench
    livemove bench --engine native --json
    livemove bench --model theremin
    livemove bench --sizes --baseline torch --plot bench.png
    livemove bench --steady 10
    livemove bench --clip dance.mp4 --pose lite
    """
    if clip is not None:
        _time_poses(clip, pose, pose_model, as_json)
        return
    if minutes is not None:
        _hold_steady(names[0] if names else "theremin", engines or ("native", "onnx"), minutes, as_json)
        return
    from livemove import bench, chart
    from livemove.catalogue import models_to_measure

    models = models_to_measure(names)
    streams = range(1, min(os.cpu_count() or 1, 4) + 1) if sizes else ()
    with _console().status("measuring …"):
        measured = [*models, *bench.size_models()] if sizes else models
        # The reference would take minutes for the sizes, and they have no graph for the onnx engine.
        default = ("native", "native-int8", "cuda") if sizes else BENCH_ENGINES
        result = bench.run(engines or default, measured, repeats, streams=streams)
        if baseline:
            result["baseline"] = bench.torch_baseline(measured)
    if plot is not None:
        chart.draw(result, plot)
    if as_json:
        _print_json(result)
        return
    _print_table(wording.bench(result))
    for line in wording.bench_remarks(result):
        click.echo(line)


def _time_poses(clip: Path, kind: str, path: Path | None, as_json: bool) -> None:
    from dataclasses import asdict

    from livemove import posetime

    _have_pose_model(str(clip), kind, path)
    with _progress("poses") as show:
        result = posetime.run(clip, kind, path, POSE_PICTURES, show)
    if as_json:
        _print_json([asdict(row) for row in result])
    else:
        _print_table(wording.pose_times(result))


def _hold_steady(model: str, engines: tuple[str, ...], minutes: float, as_json: bool) -> None:
    from dataclasses import asdict

    from livemove import steady
    from livemove.bundle import load_bundle

    with _console().status(f"playing for {len(engines)} x {minutes:g} minutes …"):
        result = steady.run(load_bundle(model), engines, minutes)
    if as_json:
        _print_json(asdict(result))
    else:
        _print_table(wording.steady(result.results))
        for row in result.absent:
            click.echo(f"{row['engine']}: {row['why']}")
        click.echo(f"{result.model}, blocks of {result.block}, meanwhile {result.load} on the other cores")
    click.get_current_context().exit(any(row.late for row in result.results))


# --- is it well? --------------------------------------------------------------------------------------------


@main.command()
@click.option("--model", "-m", metavar="NAME|DIR", help="The model to be played; by default the first there is.")
@click.option(
    "--camera", "-c", default="0", show_default=True, metavar="N|URL|FILE|TAKE|demo", help="The camera to look through."
)
@_pose_options
@_json_option
def doctor(model: str | None, as_json: bool, **options: Any) -> None:
    """Examine this machine: Python, camera, pose model, sound cards, models, how fast the engines are, and whether one
    of them holds a model live while poses are found beside it. Stand in front of the camera meanwhile: it also says
    whether light, distance and frame rate are good enough, and which limbs are hard to see.

    Exit code 0: livemove is whole, though the machine may lack a camera or a sound card. 1: something is broken.

    \b
    livemove doctor
    livemove doctor --camera 1
    livemove doctor --json
    """
    from dataclasses import asdict

    from livemove.capture.config import CaptureConfig
    from livemove.doctor import examine

    with _console().status("examining …"):
        found = list(examine(CaptureConfig(**options), model))
    if as_json:
        _print_json([asdict(finding) for finding in found])
    else:
        _print_table(wording.findings(found))
    click.get_current_context().exit(any(finding.state == "broken" for finding in found))


if __name__ == "__main__":
    main(prog_name="livemove")
