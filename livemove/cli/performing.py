"""Playing: `livemove perform`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livemove.cli import text
from livemove.cli.audio_options import audio_device_options, block_is_free, device_settings, learnt_block
from livemove.cli.dancer_options import chosen_dancer, dancer_options
from livemove.cli.number_types import DURATION, Number
from livemove.cli.shared import (
    UserError,
    check_report,
    given,
    have_pose_model,
    instrument_options,
    mirrored_option,
    model_option,
    status_display,
    unused,
    write_report,
)
from livemove.controls import CONTROLS

if TYPE_CHECKING:
    from livemove.session.perform import Report, Status


class LookAhead(click.ParamType[float]):
    """Milliseconds, or "auto": the usual ones."""

    name = "look-ahead"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        control = CONTROLS["look_ahead"]
        return control.usual if value == "auto" else Number(*control.limits).convert(value, param, ctx)


@click.command()
@click.option(
    "--camera",
    "-c",
    multiple=True,
    default=("0",),
    show_default=True,
    metavar="N|FILE|URL|TAKE|demo",
    help="Webcam by number, a video file at its own pace, an http or rtsp address, a take, or the demo dancer. "
    "Several times: to change between while playing.",
)
@click.option("--loop", is_flag=True, help="Start a video file again at its end.")
@click.option("--mirror", is_flag=True, help="Show the camera image as a mirror does.")
@mirrored_option
@dancer_options
@audio_device_options
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE.wav",
    help="Record what is played; needs no audio device. A file that is there is never overwritten: NAME-002.wav.",
)
@click.option("--record", is_flag=True, help="Record a take from the start; it can be begun and ended at any time.")
@click.option(
    "--takes",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where takes go; without it, into the folder you are in.",
)
@click.option(
    "--video",
    "--film",  # its former name
    "video",
    is_flag=True,
    help="Takes keep the camera's video too, for `livemove render TAKE -o X.mp4`.",
)
@click.option("--duration", type=DURATION, metavar="SECONDS", help="Stop after that.")
@click.option(
    "--look-ahead",
    type=LookAhead(),
    default="auto",
    show_default=True,
    metavar="auto|MS",
    help="Predict the movement by so much at most, so that the sound follows sooner; auto: by the latency that is "
    "measured, 0: not at all.",
)
@click.option(
    "--monitor/--no-monitor",
    default=None,
    help="The window with camera image, sound and figures; without either, one opens where there is a display.",
)
@click.option(
    "--audience",
    is_flag=True,
    help="A second window for the audience, full screen, on the second screen where there is one: the dancer drawn in "
    "light, no figures.",
)
@click.option(
    "--spare/--no-spare",
    default=True,
    help="A second synthesis waits, loaded and checked, to play on if the first one dies or stands still; it needs "
    "memory (about as much as the first) and no core.",
)
@click.option(
    "--osc",
    metavar="[HOST:]PORT",
    help="Listen for OSC: a port for this machine only, 0.0.0.0:9000 for the network. OSCQuery answers at the same "
    "number, http://127.0.0.1:9000.",
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
@click.option(
    "--save",
    metavar="NAME",
    help="At the end, keep model, what was set last and the devices you named as this preset; one of that name stays "
    "as NAME.toml.bak. While it plays, B keeps what is set as live-001, live-002 ...",
)
@click.option(
    "--swap-hands", is_flag=True, help="Left plays what the mapping gives to right, and the reverse (X while playing)."
)
@click.option("--muted", is_flag=True, help="Begin in silence, until you unmute (M).")
@click.option("--midi", metavar="NAME", help="Play and steer by MIDI: part of a port's name (`livemove devices`).")
@click.option("--midi-out", metavar="NAME", help="Send channels there as MIDI control changes 20, 21 ...")
@click.option("--mpe", is_flag=True, help="With --midi-out: as MPE notes instead (bend, pressure, CC 74).")
@click.option(
    "--midi-clock",
    is_flag=True,
    help="With --midi-out: MIDI clock there as well, 24 pulses a beat, at Link's beat with --link, else at the tempo "
    "that is set (A, /livemove/tempo; 120 where none is).",
)
@click.option(
    "--link", is_flag=True, help="Join Ableton Link; a mapping can then use link.beat, link.phase and link.tempo."
)
@click.option(
    "--learn",
    metavar="WHAT",
    help="The first MIDI knob, pad or pedal you move plays gain, mute, freeze, panic, octave ...",
)
@model_option(several=True, layers=True)
@instrument_options
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
    """Play live: camera, pose, network, audio device. Ctrl-C ends it, or Q twice in the window.

    Stand so that the camera sees you from head to hips at least. With the theremin, your right hand's height is
    the pitch, your left hand's height the loudness, and the distance between your hands the brightness.

    \b
    livemove perform                                     webcam and default audio device; without them, see below
    livemove perform --camera demo                       no camera: the demo dancer
    livemove perform --camera demo -o take.wav           no audio device either: into a file
    livemove perform --camera dance.mp4 --loop           a video file plays
    livemove perform --device "USB" --block 256          a certain audio device, quicker
    livemove perform -c 0 -c demo -d USB -d HDMI         cameras and audio devices to change between while playing
    livemove perform --mapping my.toml                   your own mapping: sources, expressions, triggers
    livemove perform --duration 30 --report r.json       half a minute, measured
    livemove perform --record --takes ~/takes            a take: sound, poses, channels and controls on one clock
    livemove perform --no-monitor                        without the window: the same keys, typed in the terminal
    livemove perform -m theremin -m mine --osc 9000      two models to switch between, steered by OSC
    livemove perform -m cello+bodydrum:gain=-6           two voices at once, layers, the second one softer
    livemove perform -m cello:pan=-0.5+cello:transpose=7,pan=0.5   a fifth, its notes on two sides (see --model)
    livemove perform -m cello:chord=0/4/7/C2             a chord from one hand, over a drone
    livemove perform --midi nano --learn gain            then move the knob that is to be the gain, once for ever
    livemove perform --midi-out surge --mpe              your body plays a synthesizer: one note, bent and pressed
    livemove perform --link --mapping pulse.toml         a channel follows the beat: source = "link.beat"
    livemove perform --midi-out drum --midi-clock        a drum machine follows: 120 bpm, or A, or --link
    livemove perform --video --takes ~/takes             takes keep what the camera saw as well (R begins one)
    livemove perform -m mine --gain 0.5 --save soft      what is set at its end is the preset "soft"
    livemove perform --audience                          the dancer drawn in light on the second screen
    livemove perform --reverb 0.3 --delay 0.2            in a space; 1 records a loop, closes it, overdubs
    livemove perform --swap-hands                        for who is left-handed: X while it plays
    livemove perform -m theremin+cello:dancer=2          two dancers, each with a voice of their own
    livemove perform -p soft -p loud                     two presets, next and previous by key, MIDI or OSC

    Where there is no webcam the demo dancer plays, and without an audio device take-001.wav (002 ...) is written,
    unless you name one.
    """
    from livemove.bundle import load_bundle
    from livemove.capture.cameras import check_camera
    from livemove.capture.capture_config import CaptureConfig
    from livemove.cli import fallback
    from livemove.cli.keyboard import typed_keys
    from livemove.cli.layers import beyond_reach, dancers_of, for_dancers, mapped, read_layers, written_layers
    from livemove.cli.models import chosen_styles, ignoring, model_name, stacks_of_presets
    from livemove.contracts import CameraError, ControlError, DeviceError
    from livemove.control import keys
    from livemove.control.control_config import ControlConfig, address
    from livemove.control.delays import camera_delay_ms
    from livemove.control.presets import (
        Devices,
        check_name,
        free_name,
        from_controls,
        preset_file,
        save_preset,
        set_list,
    )
    from livemove.control.user_files import learnt_file, postures_folder
    from livemove.control.vocabulary import learnable
    from livemove.diagnostics.doctor import whatever_is_missing
    from livemove.monitor.monitor_config import has_display
    from livemove.session.perform import PresetDevices, SessionConfig, run_session
    from livemove.synthesis.synthesis_config import Layer
    from livemove.takes.folder import unfinished

    def tell(line: str) -> None:
        click.echo(line, err=True)

    report, options["output"] = check_report(report), unused(options["output"])
    if save is not None:
        check_name(save)
    cameras, cards = options["camera"], options["device"]
    for line in filter(None, (unfinished(Path(camera)) for camera in cameras)):
        click.echo(line, err=True)
    for further in (CaptureConfig(camera=camera) for camera in cameras[1:]):
        if further.kind == "file":  # the first says itself what is wrong; a webcam or an address may be there later
            check_camera(further)
    options.update(camera=cameras[0], device=next(iter(cards), None))
    presets = set_list(preset_names)
    if presets:
        if given(context, "models") or given(context, "mapping"):
            raise ControlError("a preset names its model and mapping: leave out --model and --mapping")
        stacks, controls = stacks_of_presets(presets, tell, options["dancers"])
        first = presets[0]
        chosen = {name: getattr(first, name) for name in ("gain", "temperature", "muted", "reverb", "delay")}
        chosen = {**chosen, **{key: value for key, value in vars(first.devices).items() if value is not None}}
        options.update({key: value for key, value in chosen.items() if not given(context, key)})
        if not given(context, "look_ahead"):
            look_ahead = first.look_ahead_ms
    else:
        sets = [mapped(read_layers(each, tell, mapping), tell) for each in models]
        stacks, controls = [for_dancers(layers, options["dancers"]) for layers in sets], ()
    options["dancers"] = dancers_of(stacks, options["dancers"])
    options["dancer"] = chosen_dancer(options["dancer"], options["dancers"])
    for line in ignoring([layer.model for layers in stacks for layer in layers]):
        tell(line)
    for line in dict.fromkeys(line for layers in stacks for line in beyond_reach(layers)):
        tell(line)
    by_preset = bool(presets and presets[0].devices.block)
    block_free = block_is_free(context, options, by_preset)
    options |= device_settings(context, options, by_preset)
    folder = stacks[0][0].model
    if options["audience"] and monitor is False:
        raise ControlError("--audience is a window beside the other one: leave out --no-monitor")
    if options["mpe"] and options["midi_out"] is None:
        raise ControlError("--mpe needs --midi-out NAME: where it goes")
    if options["midi_clock"] and options["midi_out"] is None:
        raise ControlError("--midi-clock needs --midi-out NAME: where it goes")
    osc, osc_out = options.pop("osc"), options.pop("osc_out")
    if controls and style is None:
        style_at_start, weights_at_start = controls[0].style, controls[0].styles
    else:
        style_at_start, weights_at_start = chosen_styles(style, folder)
    config = SessionConfig.of(
        model=folder,
        layers=tuple(stacks),
        presets=controls,
        preset_devices=tuple(
            PresetDevices(
                **{name: None if given(context, name) else vars(preset.devices)[name] for name in vars(PresetDevices())}
            )
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
            midi_clock=options.pop("midi_clock"),
            link=options.pop("link"),
            learnt=learnt_file(),
            presets=tuple(preset.name for preset in presets),
        ),
        learn=learnable(learn) if learn else 0,
        style=style_at_start,
        styles=weights_at_start,
        look_ahead_s=look_ahead / 1000,
        mute=options.pop("muted"),
        folder=options.pop("takes"),
        postures=postures_folder(),
        camera_delay_s=(camera_delay_ms(options["camera"]) or 0.0) / 1e3,
        duration_s=duration,
        monitor=has_display() if monitor is None else monitor,
        **options,
    )
    seen: list[Status] = []

    def keep(status: Status, name: str) -> str:
        """What is set, as that preset, or under a free name; what to tell the person. Raises LivemoveError."""
        name = name or free_name()
        last, control = status.controls, config.control
        layers = stacks[last.model]
        played, its_mapping = layers[0].model, layers[0].mapping
        alone = layers == (Layer(played, its_mapping),) and last.pans[0] == 0.0 and last.gains[0] == 1.0
        called = model_name(played) if alone else written_layers(layers, last, model_name)
        # Only what somebody named: a preset kept at home must not look for that camera on stage.
        now: dict[str, Any] = {
            "camera": status.camera, "device": status.card, "mirror": config.capture.mirror,
            "block": config.playback.block, "samplerate": config.playback.samplerate, "osc": osc, "osc_out": osc_out,
            "midi": control.midi, "midi_out": control.midi_out, "mpe": control.mpe or None,
            "midi_clock": control.midi_clock or None, "link": control.link or None,
        }  # fmt: skip
        devices = Devices(
            **{
                key: value
                for key, value in now.items()
                if given(context, key) or any(getattr(each.devices, key) is not None for each in presets)
            }
        )
        there = preset_file(name).exists()
        styles = load_bundle(played).spec.styles
        kept = save_preset(from_controls(name, called, its_mapping if alone else None, last, devices, styles))
        before = f" (the one that was there: {kept.name}.bak)" if there else ""
        return f"kept: {kept}{before}; livemove perform -p {name} plays it"

    def play(config: SessionConfig) -> Report:
        """Raises CameraError or DeviceError at the start."""

        def remember(status: Status) -> None:
            seen[:] = [status]
            on_status(status)

        if config.capture.kind == "index" and not config.capture.patient:
            check_camera(config.capture)  # quick: no process is started in vain
        have_pose_model(config.capture)
        name = "+".join(layer.model.name for layer in stacks[0])
        with status_display(name) as on_status, typed_keys() as typed:
            if typed is not None and not config.monitor:
                click.echo(keys.HELP, err=True)
            return run_session(config, remember, None if typed is None else lambda: keys.understood(typed()), keep)

    named = [given(context, name) or any(getattr(p.devices, name) for p in presets) for name in ("camera", "device")]
    if named[0] and config.capture.kind in ("index", "url"):  # it may come later
        config = replace(config, capture=replace(config.capture, patient=True))
    result: Report | None = None
    while result is None:
        try:
            result = play(config)
        except (CameraError, DeviceError) as error:
            other = None if seen and seen[0].seconds > 0 else fallback.instead(config, error, *named)
            if other is None:
                output = config.output if named[1] else config.output or Path()  # a file stands in for no device
                missing = whatever_is_missing(config.capture.camera, config.playback.device, output, error)
                raise UserError(*missing) from error
            config, line = other
            click.echo(line, err=True)
    write_report(report, result)
    for line in (*text.summary(result, config.output), *(learnt_block(result) if block_free else ())):
        click.echo(line, err=True)
    if save is not None:
        click.echo(keep(seen[0], save), err=True)
