"""`livemove latency`: how late a take's sound followed the body; with --clap, how late the camera itself is."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from livemove.cli import text
from livemove.cli.number_types import Number
from livemove.cli.shared import UserError, have_pose_model, print_json, progress


@click.command()
@click.argument("take", type=click.Path(path_type=Path), required=False)
@click.option("--clap", is_flag=True, help="Measure a camera's own delay instead, by claps, and keep it.")
@click.option("--camera", "-c", default="0", show_default=True, metavar="N|URL", help="With --clap: which camera.")
@click.option("--device", "-d", metavar="N|NAME", help="With --clap: the audio device that clicks.")
@click.option("--input-device", metavar="N|NAME", help="With --clap: the microphone (`livemove devices --input`).")
@click.option("--pose-model", type=click.Path(path_type=Path), metavar="FILE", help="With --clap: as in perform.")
@click.option(
    "--camera-delay",
    "camera_delay_ms",
    type=Number(0, 1000),
    metavar="MS",
    help="The camera's own delay, counted in; without it, what --clap told of the take's camera.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw movement and sound.")
def latency(
    take: Path | None,
    clap: bool,
    camera: str,
    device: str | None,
    input_device: str | None,
    pose_model: Path | None,
    camera_delay_ms: float | None,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Measure how late the sound of a take followed the body, and what that lag is made of.

    The lag is the delay at which the landmarks, as they were captured, and the pitch, as it was played, agree best;
    again for every six seconds. Its parts add up to it. Besides: how much it varies, how much the pitch trembles while
    the hand is still, how far it goes on when the hand stops, and whether it ripples at the camera's rate.

    With --clap it listens and looks for 25 seconds: five clicks from the loudspeaker first, then clap ten times, hands
    far apart in between, so that camera and microphone are as near to you as to each other. What the camera is late by
    is kept, and counts from then on: in what is predicted, in recordings and here. So is what loudspeaker and
    microphone take together beyond what the sound system says: what of it is the microphone's makes the camera look so
    much earlier, and together they are right.

    \b
    livemove perform --record --duration 40      move a hand up and down while it plays
    livemove latency take-20260131-203000        the lag and its parts
    livemove latency take-20260131-203000 --json --plot lag.png
    livemove latency --clap                      the camera's own delay
    """
    if clap == (take is not None):
        raise UserError("give the folder of a take, or --clap")
    if clap:
        _clap(camera, device, input_device, pose_model, as_json)
        return
    assert take is not None
    from livemove.control.delays import camera_delay_ms as kept_ms
    from livemove.diagnostics.latency import as_json as rounded
    from livemove.diagnostics.latency import measure
    from livemove.takes.reading import load_take

    performed = load_take(take)
    report, traces = measure(performed, kept_ms(performed.info.camera) if camera_delay_ms is None else camera_delay_ms)
    if plot is not None:
        from livemove.diagnostics.latency_plot import draw

        draw(plot, report, traces)
    if as_json:
        print_json(rounded(report))
        return
    for line in text.lag(report):
        click.echo(line)


def _clap(camera: str, device: str | None, input_device: str | None, pose_model: Path | None, as_json: bool) -> None:
    """Record clicks and claps, measure, and keep what is known then."""
    from dataclasses import asdict

    import soundfile

    from livemove.capture.capture_config import CaptureConfig
    from livemove.cli.takes import take_display
    from livemove.control.delays import keep_delays
    from livemove.diagnostics import claps
    from livemove.playback.device import find_device
    from livemove.session.record import RecordConfig, record

    have_pose_model(CaptureConfig(camera=camera, pose_model=pose_model))
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "clicks.wav"
        soundfile.write(song, claps.clicks(), claps.RATE)
        config = RecordConfig(
            folder=Path(folder), name="claps", camera=camera, sound=song, mic=True, device=device,
            input_device=input_device,
        )  # fmt: skip
        click.echo("after five clicks, clap ten times: hands far apart in between", err=True)
        with take_display() as on_progress:
            recorded = record(config, on_progress)
        with progress("pose") as show:
            report = claps.measure(Path(recorded["file"]), pose_model, show)
    known = [None if value is None else max(value, 0.0) for value in (report.camera_ms, report.round_trip_ms)]
    kept = None if known == [None, None] else keep_delays(camera, known[0], find_device(device).label, known[1])
    if as_json:
        print_json({**asdict(report), "kept": None if kept is None else str(kept)})
        return
    for line in text.clapped(report, camera):
        click.echo(line)
    if kept is not None:
        click.echo(f"kept: {kept}")
