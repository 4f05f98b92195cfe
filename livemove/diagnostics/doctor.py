"""What works on this machine and what does not: one Finding per part of the instrument, in the order of the signal.

In: nothing but the machine and the room before its camera. Out: findings, as they are made. A part that fails is a
finding, not an error. Must not know the terminal.
"""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from livemove import __version__
from livemove.bundle import Bundle, bundle_folders, list_bundles, load_bundle
from livemove.capture.capture_config import CaptureConfig
from livemove.contracts import HOP, BundleError, DeviceError, LivemoveError
from livemove.controls import MAX_LAYERS

if TYPE_CHECKING:
    from livemove.capture.lighting import Light
    from livemove.diagnostics.camera_check import CameraCheck
    from livemove.diagnostics.soak import SoakResult
    from livemove.playback.device import Device

COARSE = "its weights are too coarse for this model: it is refused, and the other engines play it"

LIVE_ENGINES = ("native", "native-int8", "onnx")
MEASURED_S = 2.0
"""How long each engine plays at real-time pace beside the pose estimation."""
SPARE = 0.5
"""Least part of a hop's time that the median must leave free for an engine to be called able to play live."""

OFTEN = 0.15
"""What happens in such a share of the frames is worth a word."""
WHOLE_M = 2.3
"""Metres the image must be high for a grown-up with raised arms, feet on the ground."""
TALL = 0.83
"""Metres an image is high for each metre to the camera: webcams see about 45 degrees from top to bottom."""
ENOUGH_FPS = 18.0
"""Poses a second from which on a quick movement is followed; a webcam gives 25 or 30."""
KEPT_RATE = 0.75
"""Share of the frame rate it promises that a camera should give: in the dark, exposures take longer than a frame."""


@dataclass(frozen=True)
class Finding:
    """state "ok"; "slow"; "poor": the room before the camera could be better, detail says how; "missing": this machine
    lacks something, detail names the way on; "broken": livemove is.
    """

    part: str
    state: str
    detail: str


def examine(camera: CaptureConfig, live: str | None = None) -> Iterator[Finding]:
    """Every finding, one by one; some take seconds. live: the model to be played (None: the first there is)."""
    yield _python()
    yield _native()
    yield _network()
    found = _camera(camera)
    yield found
    yield _pose_model()
    if found.state == "ok":
        yield from _camera_check(camera)
    yield from _audio_devices()
    found = list_bundles()
    if not found:
        yield Finding("models", "broken", f"none in {', '.join(map(str, bundle_folders()))}: install livemove again")
    for path in found:
        yield from _model(path)
    yield from _live(live or next((path.name for path in found), None))


def _python() -> Finding:
    system = f"{sys.platform} {platform.machine()}, {os.cpu_count()} cores"
    return Finding("python", "ok", f"{platform.python_version()}, livemove {__version__} in {sys.prefix}, {system}")


def _native() -> Finding:
    from livemove.synthesis.native import instruction_sets

    try:
        return Finding("native engine", "ok", f"instruction sets here: {', '.join(instruction_sets())}")
    except LivemoveError as error:
        return Finding("native engine", "broken", str(error))


def _network() -> Finding:
    from livemove.ipc.network import can_deny

    if can_deny():
        return Finding("network", "ok", "pose model, engine, sound and window cannot open a socket that leaves here")
    return Finding(
        "network",
        "missing",
        "this system is not asked to keep libraries silent: ONNX Runtime's telemetry is switched off, and MediaPipe's "
        "is sent to a closed port of this machine; to be certain, unplug the network",
    )


def _camera(config: CaptureConfig) -> Finding:
    from livemove.capture.cameras import check_camera, open_feed
    from livemove.ipc.segment import now_s

    if config.kind in ("demo", "take"):
        return Finding("camera", "ok", f"{config.camera}: landmarks without an image")
    name = f"camera {config.camera}" if config.kind == "index" else config.camera
    camera_frame = None
    try:
        check_camera(config)
        began_s = now_s()
        feed = open_feed(config, now_s)
        try:
            while camera_frame is None and not feed.over:
                camera_frame = feed.take(0.2)
                feed.check_silence()
        finally:
            feed.close(2.0)
    except LivemoveError as error:
        return Finding("camera", "missing", str(error))
    if camera_frame is None:
        return Finding("camera", "missing", f"{name} ended without a frame")
    height, width, _ = camera_frame.image.shape
    return Finding("camera", "ok", f"{name} gives {width} x {height}, first frame after {now_s() - began_s:.1f} s")


def _camera_check(config: CaptureConfig) -> list[Finding]:
    """A look through the camera for a few seconds, if what finds poses is at hand: it is not fetched for this."""
    from livemove.capture.posemodel import MODELS, cache_folder
    from livemove.diagnostics.camera_check import look

    at_hand = config.pose_model is not None or (cache_folder() / MODELS[config.pose].file).exists()
    if config.kind not in ("demo", "take") and not at_hand:
        return [Finding("you", "missing", "how well the camera sees you can be said once the pose model is there")]
    try:
        return camera_findings(look(config))
    except LivemoveError as error:
        return [Finding("you", "missing", str(error))]


def camera_findings(check: CameraCheck) -> list[Finding]:
    """What a look through the camera means to who stands before it: light, distance, pace, limbs, one line each."""
    made_out = check.people > 1.0 - OFTEN and max(check.hidden.values(), default=1.0) < OFTEN
    findings = [_light(check.light, made_out)] if check.light is not None else []
    findings.append(_pace(check))
    if check.people < OFTEN:
        nobody = "Nobody is to be seen: stand in front of the camera, then run the doctor again."
        return [*findings, Finding("distance", "poor", nobody)]
    return [*findings, _distance(check), _limbs(check)]


def _light(light: Light, made_out: bool) -> Finding:
    """Brightness and contrast, as `capture.lighting.Light` has them; made_out: body and limbs are, all the same."""
    advice = ""
    if light.brightness < 0.15:
        advice = "Too dark: put a lamp beside the camera that shines on you, or turn on the lights."
    elif light.brightness > 0.86 or light.burnt > 0.25:
        advice = "Too bright: parts of the image are plain white; turn the lamp away from the camera, or dim it."
    elif light.face < 0.15 and light.brightness > 2.5 * light.face:  # a dark face in good light is above 0.2
        advice = "You are a shadow: the light is behind you. Turn the camera away from the window, or light yourself."
    elif light.contrast < 0.15:
        advice = "The image is flat and grey: wipe the lens, or wear what stands out from the wall behind you."
    figures = f"(brightness {100 * light.brightness:.0f} %, contrast {100 * light.contrast:.0f} %)"
    if made_out and light.brightness > 0.08:
        hint = f" It could be better: {advice}" if advice else ""
        return Finding("light", "ok", f"Good enough: you are made out well. {figures}{hint}")
    return Finding("light", "poor" if advice else "ok", f"{advice or 'Good light.'} {figures}")


def _pace(check: CameraCheck) -> Finding:
    """How often you are seen, and how evenly."""
    poor, can = "", check.promise.fps
    if check.seen_fps < KEPT_RATE * can:
        worth_ms = 1e3 / max(check.seen_fps, 1.0) - 1e3 / can
        poor = (
            f"Your camera gives {check.seen_fps:.0f} frames a second in this light and could give {can:.0f}: more "
            f"light is worth {worth_ms:.0f} ms. If it is bright already, try another cable or USB port."
        )
    elif check.seen_fps < ENOUGH_FPS:
        poor = "The camera is slow, and blurs quick movements: more light helps most, then another cable or camera."
    elif check.fps < ENOUGH_FPS:
        poor = "The computer is slower than the camera: close other programs, or play with --pose lite."
    elif check.longest_s > max(4.0 / check.fps, 0.2):
        poor = "The frames come unevenly, so sounds will stumble: close other programs, or use another cable."
    figures = (
        f"{check.fps:.0f} poses of {check.seen_fps:.0f} frames a second, longest gap {1e3 * check.longest_s:.0f} ms"
    )
    if math.isfinite(check.promise.exposure_s):
        figures += f", exposure {1e3 * check.promise.exposure_s:.0f} ms"
    return Finding("frame rate", "poor" if poor else "ok", f"{poor or 'Quick and even.'} ({figures})")


def _distance(check: CameraCheck) -> Finding:
    """Where to stand. Steps are by the body's own size in the image, see `camera_check.CameraCheck.room_m`."""
    back = f"Step back about {_metres((WHOLE_M - check.room_m) / TALL)}"
    roomy = check.room_m > 0.8 * WHOLE_M  # all of the body would be in, were the camera turned
    poor = ""
    if check.out["feet"] > OFTEN:
        poor = f"{back}: your feet are out of the frame."
        if check.top > 0.3 and roomy:
            poor = "Tilt the camera down: your feet are out of the frame, and there is room above you."
        poor += " (To play with the hands alone, head to hips is enough.)"
    elif check.out["head"] > OFTEN:
        poor = f"{back}: your head is out of the frame."
        if check.foot < 0.7 and roomy:
            poor = "Tilt the camera up: your head is out of the frame, and there is room below you."
    elif not 0.25 <= check.aside <= 0.75:
        # Who faces the camera has the right hand on the image's left.
        poor = f"Step to your {'left' if check.aside < 0.5 else 'right'}: you stand at the edge of the frame."
    elif check.out["hands"] > OFTEN:
        poor = f"{back}: your hands leave the frame."
    elif check.height < 0.4:
        poor = f"Come about {_metres((check.room_m - WHOLE_M) / TALL)} closer: you are small in the frame."
    figures = f"you fill {100 * check.height:.0f} % of its height"
    return Finding("distance", "poor" if poor else "ok", f"{poor or 'A good place to stand.'} ({figures})")


def _metres(distance_m: float) -> str:
    """In halves, for who measures by steps."""
    halves = max(round(2.0 * distance_m), 1) if math.isfinite(distance_m) else 2
    return {1: "half a metre", 2: "a metre"}.get(halves, f"{halves / 2:g} metres")


def _limbs(check: CameraCheck) -> Finding:
    hidden = {limb: share for limb, share in check.hidden.items() if share > OFTEN}
    if not hidden:
        return Finding("limbs", "ok", "Head, arms and legs are made out well.")
    names = " and ".join(f"your {limb} ({100 * share:.0f} % of the time)" for limb, share in hidden.items())
    return Finding(
        "limbs",
        "poor",
        f"Hard to make out: {names}. Wear what stands out from the wall, and keep things out of the way.",
    )


def _pose_model() -> Finding:
    from livemove.capture.posemodel import MODELS, cache_folder, find_pose_model

    cached = [kind for kind, model in MODELS.items() if (cache_folder() / model.file).exists()]
    if not cached:
        return Finding("pose model", "missing", f"not in {cache_folder()} yet: it is fetched at the first start")
    try:
        return Finding("pose model", "ok", ", ".join(str(find_pose_model(kind)) for kind in cached))
    except LivemoveError as error:
        return Finding("pose model", "broken", str(error))


def audio_devices(kind: str = "output") -> list[Device]:
    """As `playback.device.list_devices`; also of a missing PortAudio library a DeviceError is made."""
    try:
        from livemove.playback.device import list_devices
    except OSError as error:
        raise DeviceError(
            f"{error}: install it (Debian: apt-get install libportaudio2), or play into a file: --output take.wav"
        ) from error
    return list_devices(kind)


def _audio_devices() -> Iterator[Finding]:
    try:
        devices = audio_devices()
    except LivemoveError as error:
        yield Finding("audio device", "missing", str(error))
        return
    if not devices:
        from livemove.playback.device import NO_DEVICE

        yield Finding("audio device", "missing", NO_DEVICE)
    for device in devices:
        if device.default:
            detail = f"{device.name} ({device.host}), {device.rate:.0f} Hz, one of {len(devices)}"
            yield Finding("audio device", "ok", detail)


def _model(path: Path) -> Iterator[Finding]:
    try:
        bundle = load_bundle(path)
    except BundleError as error:
        yield Finding(f"model {path.name}", "broken", str(error))
        return
    channels = ", ".join(bundle.spec.channel_names)
    yield Finding(f"model {path.name}", "ok", f"{channels}; {bundle.spec.sample_rate} Hz; {path}")
    for engine in ("native", "onnx"):
        if engine == "onnx" and bundle.onnx_path is None:
            yield Finding(f"{path.name} on onnx", "missing", "the model was exported without generator.onnx")
        else:
            yield _engine(bundle, engine)


def _engine(bundle: Bundle, name: str) -> Finding:
    """Whether it reproduces the model's golden vector, and how fast it did."""
    from livemove.synthesis.engines import choose_engine

    part = f"{bundle.path.name} on {name}"
    try:
        realtime = choose_engine(name, bundle).realtime
    except LivemoveError as error:
        return Finding(part, "broken", str(error))
    detail = f"golden vector passed, {realtime:.1f} times real time"
    return Finding(part, "ok", detail) if realtime > 1 else Finding(part, "slow", f"{detail}: not enough to play")


def _live(model: str | None) -> Iterator[Finding]:
    """Whether the model can be held while poses are found, by which engine; else whether the stage architecture
    could."""
    from livemove.diagnostics import soak
    from livemove.diagnostics.load import other_cores_busy
    from livemove.synthesis import architectures
    from livemove.synthesis.engines import APPROXIMATE
    from livemove.synthesis.native import NativeEngine

    if model is None:
        return
    try:
        bundle = load_bundle(model)
    except BundleError as error:
        yield Finding(f"{model} live", "broken", str(error))
        return
    engines = [name for name in LIVE_ENGINES if name != "onnx" or bundle.onnx_path is not None]
    report = soak.run(bundle, engines, MEASURED_S / 60)
    for refused in report.absent:
        part, coarse = f"{model} live on {refused['engine']}", refused["engine"] in APPROXIMATE
        yield Finding(part, "missing", COARSE) if coarse else Finding(part, "broken", refused["why"])
    found = live_findings(model, report.results, report.load)
    yield from found
    able = [run for run in report.results if holds(run)]
    if able:
        together = soak.run(bundle, [able[0].engine], MEASURED_S / 60, layers=MAX_LAYERS)
        yield layers_finding(model, able[0], together.results[0], together.load)
    if found[-1].state != "ok":
        stage = architectures.stage()
        engine = NativeEngine(stage, architectures.random_weights(stage), precision="int8")
        with other_cores_busy():
            tried = soak.hold(engine, round(MEASURED_S * stage.sample_rate / HOP))
        can = "would hold" if holds(tried) else "would not hold either"
        size = f"R{stage.residual} S{stage.skip}, {stage.layers} layers"
        detail = f"{can} on native-int8: {_hops(tried)} ({size})"
        yield Finding("stage architecture live", "ok" if holds(tried) else "slow", detail)


def holds(run: SoakResult) -> bool:
    """Nothing late, and room for the median to grow."""
    return run.late == 0 and run.median_ms <= (1.0 - SPARE) * run.hop_ms


def live_findings(model: str, runs: Sequence[SoakResult], load: str) -> list[Finding]:
    """A finding per engine, in the order tried, then the verdict. load: what ran beside them, in words."""
    findings = [
        Finding(f"{model} live on {run.engine}", "ok" if holds(run) else "slow", f"{_hops(run)} beside {load}")
        for run in runs
    ]
    able = [run.engine for run in runs if holds(run)]
    if not able:
        return [*findings, Finding(f"{model} live", "slow", "no engine holds it here: free a core, or a smaller model")]
    also = f"; so would {', '.join(able[1:])}" if able[1:] else ""
    return [*findings, Finding(f"{model} live", "ok", f"--engine {able[0]} holds it{also}")]


def layers_finding(model: str, alone: SoakResult, together: SoakResult, load: str) -> Finding:
    """How many layers can play at once. alone, together: one, and MAX_LAYERS, of that model on the same engine."""
    measured = f"({MAX_LAYERS} of {model} on {together.engine}: {_hops(together)} beside {load})"
    if holds(together):
        return Finding("layers", "ok", f"{MAX_LAYERS} voices at once hold, as many as there can be {measured}")
    room = (1.0 - SPARE) * alone.hop_ms
    # What a further one costs by both runs: the second is the busier one.
    each = max(alone.median_ms, together.median_ms / MAX_LAYERS)
    count = min(max(int(room / each), 1), MAX_LAYERS - 1)
    detail = f"about {count} at once: {MAX_LAYERS} are too many {measured}"
    return Finding("layers", "ok" if count > 1 else "slow", detail)


def _hops(run: SoakResult) -> str:
    spare = 100 * max(1.0 - run.median_ms / run.hop_ms, 0.0)
    return (
        f"{run.median_ms:.2f} of {run.hop_ms:.2f} ms a hop, longest {run.max_ms:.2f}, {run.late} of {run.hops} late, "
        f"{spare:.0f} % to spare"
    )


def whatever_is_missing(camera: str, device: str | None, output: Path | None, first: LivemoveError) -> list[str]:
    """The trouble a session met first, and with it the other one that a machine without camera or audio device has."""
    from livemove.capture.cameras import check_camera
    from livemove.playback.device import find_device

    troubles = [str(first)]
    try:
        if CaptureConfig(camera=camera).kind == "index":
            check_camera(CaptureConfig(camera=camera))
    except LivemoveError as error:
        troubles.append(str(error))
    try:
        if output is None:
            find_device(device)
    except LivemoveError as error:
        troubles.append(str(error))
    return list(dict.fromkeys(troubles))
