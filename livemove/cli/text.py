"""What the command line shows, as text: status, reports, findings in; lines and rows of markup out. Pure functions.

Prints nothing and loads nothing: whatever it words, it knows by type only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livemove.cli.banner import big_letters

if TYPE_CHECKING:
    from livemove.contracts import Controls
    from livemove.diagnostics.claps import ClapReport
    from livemove.diagnostics.doctor import Finding
    from livemove.diagnostics.latency import LatencyReport
    from livemove.diagnostics.performance_soak import PerformanceSoak
    from livemove.diagnostics.pose_bench import PoseTime
    from livemove.diagnostics.soak import SoakResult
    from livemove.offline.render import RenderReport
    from livemove.offline.replay import ReplayReport
    from livemove.playback.device import Device
    from livemove.session.calibrate import Fitted
    from livemove.session.calibrate import Progress as Calibrating
    from livemove.session.perform import Report, Status
    from livemove.session.record import Progress as Take
    from livemove.session.record import Report as TakeReport


@dataclass(frozen=True)
class Table:
    """A table. A column whose name ends in > is set to the right."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def _number(value: float | None, form: str = ".0f") -> str:
    return "–" if value is None or not math.isfinite(value) else format(value, form)


def _plain(text: str) -> str:
    """Text in which rich finds no markup."""
    return text.replace("[", "\\[")


# --- perform ------------------------------------------------------------------------------------------------


def status_line(status: Status, model: str) -> str:
    """One line; what needs the player's eye is coloured."""
    if status.phase == "starting":
        return f"[bold]{model}[/] starting …"
    return "  ".join(
        (
            f"[bold]{model}[/] {status.engine or '–'}",
            f"{status.seconds:.0f} s",
            meter(status.rms, status.peak),
            f"pose {_number(status.pose_fps)} fps" if status.people else "[yellow]nobody in view[/]",
            f"motion→sound {_number(status.latency_p50_ms)}/{_number(status.latency_p95_ms)} ms, "
            f"lag {_number(status.lag_ms)} ms",
            f"ring {status.ring_fill_ms:.0f}/{status.ring_target_ms:.0f} ms",
            _alarm("underruns", status.underruns),
            _alarm("late", status.late_callbacks),
            _alarm("restarts", sum(status.restarts.values())),
            *settings(status.controls),
            *([status.loop.words] if status.loop.words else []),
            *(["[red]● recording[/]"] if status.recording else []),
        )
    )


def settings(controls: Controls) -> list[str]:
    """What is set otherwise than usual: a terminal has no tiles to show it."""
    found = ["[yellow]muted[/]"] * controls.mute + ["[yellow]frozen[/]"] * controls.freeze
    if abs(controls.gain - 1.0) > 1e-3:
        found.append(f"gain {20 * math.log10(controls.gain):+.1f} dB" if controls.gain > 1e-3 else "gain −∞ dB")
    if abs(controls.temperature - 1.0) > 1e-3:
        found.append(f"temperature {controls.temperature:.2f}")
    return [
        *found,
        *([f"octave {controls.octave:+d}"] if controls.octave else []),
        *(["hands swapped"] * controls.swap_hands),
        *([f"reverb {controls.reverb:.2f}"] if controls.reverb else []),
        *([f"delay {controls.delay:.2f}"] if controls.delay else []),
    ]


def _alarm(name: str, count: int) -> str:
    return f"[red]{name} {count}[/]" if count else f"{name} 0"


def meter(rms: float, peak: float) -> str:
    """Level as a bar from -60 to 0 dBFS; red when the limiter is at work."""
    db = 20 * math.log10(max(rms, 1e-6))
    filled = round(min(max((db + 60) / 60, 0.0), 1.0) * 10)
    bar = "▮" * filled + "▯" * (10 - filled)
    return f"[red]{bar}[/]" if peak > 0.9 else f"[green]{bar}[/]"


def summary(report: Report, output: Path | None) -> list[str]:
    """What happened, in a line or two."""
    latency, pose = report["motion_to_sound_ms"], report["pose_ms"]
    lines = [
        f"played {report['seconds']:.1f} s with {report['engine']}, "
        f"motion to sound {_number(latency['p50'])} ms (95 %: {_number(latency['p95'])} ms), "
        f"lag about {_number(report['lag_ms'])} ms, "
        f"pose {_number(report['pose_fps'], '.1f')} fps at {_number(pose['p50'])} ms, "
        f"underruns {report['ring_starvations']}, restarts {sum(report['restarts'].values())}"
    ]
    if output is not None:
        lines.append(f"written: {output}")
    return lines


PARTS = {
    "camera": "the camera's own delay",
    "pose": "camera frame to pose: waiting for the pose model, and the model",
    "next pose": "a pose plays until the next one",
    "ring": "hop begun to its block asked for",
    "device": "block asked for to converter",
    "prediction": "filter and look-ahead",
    "mapping": "the mapping's smoothing",
    "network": "the network's response, and the limiter",
    "rest": "not explained by these",
}
"""What `livemove latency` says of each part of the lag."""


def lag(report: LatencyReport) -> list[str]:
    """The lag of a take and its parts, which add up to it."""
    lag, stops, still = report["lag_ms"], report["stops"], report["still_cents_rms"]
    lines = [
        f"lag {lag['median']:.0f} ms (5 to 95 % of {lag['windows']} windows: {lag['p05']:.0f} to {lag['p95']:.0f}, "
        f"standard deviation {lag['sd']:.0f}; correlation {lag['confidence']:.3f}), "
        f"pose to sound {report['age_ms']['p50']:.0f} ms (95 %: {report['age_ms']['p95']:.0f} ms)",
        *(
            f"  {'–' if value is None else f'{value:+.0f}':>5} ms  {name:<11} {PARTS[name]}"
            for name, value in report["parts_ms"].items()
        ),
    ]
    jitter = report["jitter_ms"]
    if jitter["sd"] is not None:
        lines.append(
            f"over {jitter['windows']} windows of two seconds the lag differs by {jitter['sd']:.1f} ms (standard "
            f"deviation; noise of the measurement: {jitter['own']:.1f} ms)"
        )
    if still is not None:
        lines.append(f"a still hand trembles by {still:.1f} cents rms (in {report['still_seconds']:.1f} s)")
    if stops["count"]:
        lines.append(
            f"after a stop the pitch goes on {stops['overshoot_cents']:.0f} cents "
            f"({100 * (stops['overshoot_share'] or 0.0):.0f} % of the move) and settles in "
            f"{stops['settled_ms']:.0f} ms (median of {stops['count']})"
        )
    if report["ripple"] is not None:
        lines.append(
            f"at the camera's {report['camera_hz']:.1f} frames per second the pitch's slope has "
            f"{report['ripple']:.1f} times what is around it"
        )
    return lines


def clapped(report: ClapReport, camera: str) -> list[str]:
    """What claps and clicks told."""
    if report.camera_ms is None:
        lines = [
            f"camera {camera}: only {report.claps} claps were both seen and heard: clap more slowly, hands far apart"
        ]
    else:
        lines = [
            f"camera {camera} is {report.camera_ms:.0f} ms late (give or take {report.camera_spread_ms:.0f}; "
            f"{report.claps} claps)"
        ]
    if report.round_trip_ms is None:
        return [*lines, f"the microphone heard {report.clicks} of the clicks: nothing is known of the audio device"]
    return [
        *lines,
        f"loudspeaker to microphone: {report.round_trip_ms:.0f} ms more than the sound system says (give or take "
        f"{report.round_trip_spread_ms:.0f}); what of it is the microphone's makes the camera look so much earlier",
    ]


def take_line(take: Take) -> str:
    """A take that is being recorded, in a line."""
    if take.phase == "starting":
        return "[bold]record[/] starting …"
    fps = f"camera {_number(take.fps, '.1f')} fps"
    if take.phase == "counting":
        return f"begins in [bold yellow]{math.ceil(-take.seconds)}[/] s  {fps}"
    length = "" if take.total_s is None else f" of {take.total_s:.0f}"
    parts = (f"[bold red]●[/] {take.seconds:.0f}{length} s", meter(take.rms, take.peak), fps, _alarm("gaps", take.gaps))
    return "  ".join(parts)


def recorded(report: TakeReport) -> str:
    """What a take holds, in a line."""
    fps = report["frames"] / max(report["seconds"], 1e-3)
    asked_s = report["asked_s"]
    less = "" if asked_s is None or report["seconds"] > asked_s - 0.1 else f" (of {asked_s:.1f})"
    troubles = [
        f"{report['gaps']} gaps in the sound: close other programs" if report["gaps"] else "",
        f"camera lost {report['lost']} times" if report["lost"] else "",
        f"{report['missed']} frames came too fast" if report["missed"] else "",
    ]
    return "; ".join(
        [
            f"{report['file']}: {report['seconds']:.1f} s{less} of {report['sound']}, "
            f"{report['frames']} frames ({fps:.1f} fps)",
            *filter(None, troubles),
        ]
    )


SHORT_S = 1.0
"""A file's word about its length, or a promised one, is not believed more closely."""


def fired(triggers: dict[str, list[float]]) -> list[str]:
    """A line for each trigger of a rendered clip: how often, and when first."""
    return [
        f"trigger {name}: fired {len(times)} times, first at {times[0]:.2f} s"
        if times
        else f"trigger {name}: never fired"
        for name, times in triggers.items()
    ]


def rendered(report: RenderReport) -> str:
    """What a render did, in a line."""
    found = report["poses"] / max(report["frames"], 1)
    missing_s = report["clip_seconds"] - report["seconds"]
    short = f"; the image ends there, short of {report['clip_seconds']:.1f} s"
    return (
        f"{report['output']}: {report['seconds']:.1f} s in {report['wall_s']:.1f} s ({report['realtime']:.1f} times "
        f"real time), somebody in view in {100 * found:.0f} % of {report['frames']} frames"
        + (short if missing_s > SHORT_S else "")
    )


def replayed(report: ReplayReport) -> str:
    """What a replay did, and how true it is, in a line."""
    line = f"{report['output']}: {report['seconds']:.1f} s in {report['wall_s']:.1f} s, "
    if report["identical"]:
        return line + "bit by bit what was played"
    if report["exact"] and report["dry"]:
        return line + "what was played, dry: without delay and reverb"
    if report["exact"]:
        return line + f"the same until {report['differs_s']:.3f} s: made on another kind of processor?"
    return line + f"the movement, through {report['model']}: {report['why_not']}"


# --- calibrate ----------------------------------------------------------------------------------------------


def calibration(now: Calibrating, width: int) -> str:
    """A calibration under way, to be read from across the room where so many letters fit; several lines."""
    if now.phase == "moving" and now.step is not None:
        lines = [line for word in now.step.words.split() for line in (*big_letters(word), "")]
        if max(map(len, lines)) > width:
            lines = [now.step.words]
        after = f"then: {now.next_step.words.lower()}" if now.next_step else "then it is over"
        bar = "▮" * math.ceil(2 * now.left_s)
        seen = "" if now.seen else "  [yellow]nobody in view[/]"
        return "\n".join(
            (
                *(f"[bold]{line}[/]" for line in lines),
                now.step.how,
                f"[green]{bar}[/] {math.ceil(now.left_s)} s  {after}{seen}",
            )
        )
    if now.phase == "waiting":
        return "Somebody is there: do not go away" if now.seen else "Step into the frame, head to feet"
    return calibration_line(now)


def calibration_line(now: Calibrating) -> str:
    """The same in a line, for who reads it later."""
    if now.phase == "moving" and now.step is not None:
        return f"[bold]{now.step.words}[/]: {now.step.how}"
    if now.phase == "waiting":
        return "step into the frame, head to feet …"
    if now.phase == "starting":
        return "[bold]calibrate[/] starting …"
    total = "" if now.total_s is None else f" of {now.total_s:.0f}"
    return f"watching: {now.done_s:.0f}{total} s" + ("" if now.seen else "  [yellow]nobody in view[/]")


def calibrated(channels: Sequence[Fitted]) -> Table:
    """Ranges before and after."""
    rows = [
        (c.channel, c.input, _range(c.before), f"[dim]kept: {c.kept}[/]" if c.kept else _range(c.after))
        for c in channels
    ]
    return Table(("channel", "played by", "from, before", "from, now"), rows)


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.2f} … {ends[1]:.2f}"


# --- tables -------------------------------------------------------------------------------------------------


def devices(found: Sequence[Device]) -> Table:
    """Audio devices; * marks the one that plays when none is asked for."""
    return Table(
        ("", "N>", "audio device", "host", "channels>", "rate>", "latency>"),
        [
            (
                "*" if d.default else "",
                str(d.index),
                _plain(d.name),
                d.host,
                str(d.channels),
                f"{d.rate:.0f}",
                f"{1e3 * d.latency_s:.0f} ms",
            )
            for d in found
        ],
    )


def midi_ports(inputs: Sequence[str], outputs: Sequence[str]) -> Table:
    """MIDI ports: for --midi, and for --midi-out."""
    rows = [*((_plain(name), "--midi") for name in inputs), *((_plain(name), "--midi-out") for name in outputs)]
    return Table(("MIDI port", "for"), rows or [("none", "")])


def presets(found: Sequence[dict[str, Any]]) -> Table:
    """Presets and set lists, with what is wrong with those that cannot be played."""
    rows = [(p["name"], p["plays"] or f"[red]{_plain(p['error'])}[/]", _plain(p["file"])) for p in found]
    return Table(("preset", "plays", "file"), rows)


def models(found: Sequence[dict[str, Any]]) -> Table:
    """Models, with what is wrong with those that cannot be loaded."""
    rows: list[tuple[str, ...]] = []
    for m in found:
        if m["error"]:
            rows.append((m["name"], "", "", "", f"[red]{_plain(m['error'])}[/]", "", m["folder"]))
            continue
        size = f"{m['parameters']:,}"
        names = ", ".join(m["channels"]), ", ".join(m["styles"])
        rows.append((m["name"], str(m["sample_rate"]), str(m["bands"]), size, *names, m["folder"]))
    return Table(("model", "rate>", "bands>", "parameters>", "channels", "styles", "folder"), rows)


def checks(found: Sequence[dict[str, Any]]) -> Table:
    """Models on every engine, and whether they are true to their golden vectors."""
    colours = {"true": "green", "broken": "red", "coarse": "yellow", "absent": "dim"}
    return Table(
        ("model", "engine", "", "detail"),
        [(r["model"], r["engine"], f"[{colours[r['state']]}]{r['state']}[/]", _plain(r["detail"])) for r in found],
    )


def checked(found: Sequence[dict[str, Any]]) -> str:
    """The same in one line."""
    counts = {state: sum(row["state"] == state for row in found) for state in ("true", "broken", "coarse", "absent")}
    models = len({row["model"] for row in found})
    return f"{models} models: " + ", ".join(f"{count} {state}" for state, count in counts.items())


def soak(runs: Sequence[SoakResult]) -> Table:
    """How engines held at real-time pace."""
    columns = ("engine", "hops>", "late>", "underruns>", "median ms>", "99.9 % ms>", "longest ms>", "hop ms>")
    return Table(
        (*columns, "lead ms>", "closest ms>", "latest start ms>"),
        [
            (
                r.engine,
                f"{r.hops:,}",
                str(r.late),
                str(r.underruns),
                *(f"{ms:.2f}" for ms in (r.median_ms, r.p99_9_ms, r.max_ms, r.hop_ms)),
                f"{r.lead_ms:.1f}",
                f"{r.least_margin_ms:.1f}",
                f"{r.latest_start_ms:.1f}",
            )
            for r in runs
        ],
    )


def performance_soak(result: PerformanceSoak, report: Path, plot: Path) -> list[str]:
    """How a performance held, and where it is written."""
    control = f"without a control: {result.without_control}"
    if not result.without_control:
        control = f"the bare JACK client beside it was late {result.control_late} times"
    faults = f", {result.underruns_after_faults} after {len(result.faults)} faults" if result.faults else ""
    (memory, later_memory), (latency, later_latency) = result.memory_mb, result.latency_ms
    return [
        f"{result.minutes:.1f} minutes with {result.engine} on {result.device}; {control}",
        f"underruns {result.underruns}, of which {result.underruns_control_late} while the control was late, too"
        f"{faults}, {result.underruns_unexcused} without an excuse; samples that were no numbers "
        f"{result.nonfinite_samples}; restarts {sum(result.restarts.values())}",
        f"memory {memory:.0f} MB, at the end {later_memory:.0f} ({result.memory_growth:+.1%}); "
        f"motion to sound {latency:.0f} ms, at the end {later_latency:.0f} ({result.latency_change:+.1%})",
        f"written: {report}, {plot}",
        *(f"not as it should be: {line}" for line in result.wrong()),
    ]


def pose_times(times: Sequence[PoseTime]) -> Table:
    """How long a pose took, by what computed it, and how far its landmarks are from MediaPipe's."""
    names = {True: "mediapipe, as published", False: "mediapipe, without the segmentation mask"}
    return Table(
        (
            "pose", "threads>", "frames>", "with a person>", "median ms>", "95 % ms>",
            "of MediaPipe's time (range)>", "apart: median px>", "95 % px>",
        ),
        [
            (
                names[t.variant.segmentation_mask] if t.variant.runtime == "mediapipe" else t.variant.runtime,
                str(t.variant.threads),
                str(t.frames),
                str(t.poses),
                f"{t.p50_ms:.1f}",
                f"{t.p95_ms:.1f}",
                "{:.2f} ({:.2f}-{:.2f})".format(*t.share),
                f"{t.apart_p50_px:.2f}",
                f"{t.apart_p95_px:.2f}",
            )
            for t in times
        ],
    )  # fmt: skip


_STATES = {
    "ok": "[green]ok[/]", "slow": "[yellow]slow[/]", "poor": "[yellow]poor[/]", "missing": "[yellow]missing[/]",
    "broken": "[red]broken[/]",
}  # fmt: skip


def findings(found: Sequence[Finding]) -> Table:
    """What the doctor found."""
    return Table(("part", "", "found"), [(f.part, _STATES[f.state], _plain(f.detail)) for f in found])
