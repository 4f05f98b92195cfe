"""What works on this machine and what does not: one Finding per part of the instrument, in the order of the signal.

In: nothing but the machine. Out: findings, as they are made. A part that fails is a finding, not an error. Must not
know the terminal.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from livemove import __version__
from livemove.bundle import Bundle, bundle_folders, list_bundles, load_bundle
from livemove.contracts import HOP, BundleError, DeviceError, LivemoveError

if TYPE_CHECKING:
    from livemove.playback.device import Device
    from livemove.steady import Steadiness

LIVE_ENGINES = ("native", "native-int8", "onnx")
MEASURED_S = 2.0
"""How long each engine plays at real-time pace beside the pose estimation."""
SPARE = 0.5
"""Least part of a hop's time that the median must leave free for an engine to be called able to play live."""


@dataclass(frozen=True)
class Finding:
    """state "ok"; "slow"; "missing": this machine lacks something, detail names the way on; "broken": livemove is."""

    part: str
    state: str
    detail: str


def examine(live: str | None = None) -> Iterator[Finding]:
    """Every finding, one by one; some take a second. live: the model to be played (None: the first there is)."""
    yield _python()
    yield _native()
    yield _camera()
    yield _pose_model()
    yield from _sound_cards()
    found = list_bundles()
    if not found:
        yield Finding("models", "broken", f"none in {', '.join(map(str, bundle_folders()))}: install livemove again")
    for path in found:
        yield from _model(path)
    yield from _live(live or next((path.name for path in found), None))


def _python() -> Finding:
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return Finding("python", "ok", f"{platform.python_version()}, livemove {__version__} in {sys.prefix}, {system}")


def _native() -> Finding:
    from livemove.synthesis.native import instruction_sets

    try:
        return Finding("native engine", "ok", f"instruction sets here: {', '.join(instruction_sets())}")
    except LivemoveError as error:
        return Finding("native engine", "broken", str(error))


def _camera() -> Finding:
    from livemove.capture.config import CaptureConfig
    from livemove.capture.sources import check_source, open_feed
    from livemove.exchange import now_s

    config = CaptureConfig(camera="0")
    shot = None
    try:
        check_source(config)
        began_s = now_s()
        feed = open_feed(config, now_s)
        try:
            while shot is None:
                shot = feed.take(0.2)
                feed.check_silence()
        finally:
            feed.close(2.0)
    except LivemoveError as error:
        return Finding("camera", "missing", str(error))
    height, width, _ = shot.picture.shape
    return Finding("camera", "ok", f"camera 0 gives {width} x {height}, first picture after {now_s() - began_s:.1f} s")


def _pose_model() -> Finding:
    from livemove.capture.posemodel import MODELS, cache_folder, find_pose_model

    cached = [kind for kind, model in MODELS.items() if (cache_folder() / model.file).exists()]
    if not cached:
        return Finding("pose model", "missing", f"not in {cache_folder()} yet: it is fetched at the first start")
    try:
        return Finding("pose model", "ok", ", ".join(str(find_pose_model(kind)) for kind in cached))
    except LivemoveError as error:
        return Finding("pose model", "broken", str(error))


def sound_cards(kind: str = "output") -> list[Device]:
    """As `playback.device.list_devices`; also of a missing PortAudio library a DeviceError is made."""
    try:
        from livemove.playback.device import list_devices
    except OSError as error:
        raise DeviceError(
            f"{error}: install it (Debian: apt-get install libportaudio2), or play into a file: --output take.wav"
        ) from error
    return list_devices(kind)


def _sound_cards() -> Iterator[Finding]:
    try:
        devices = sound_cards()
    except LivemoveError as error:
        yield Finding("sound card", "missing", str(error))
        return
    if not devices:
        from livemove.playback.device import NO_DEVICE

        yield Finding("sound card", "missing", NO_DEVICE)
    for device in devices:
        if device.default:
            detail = f"{device.name} ({device.host}), {device.rate:.0f} Hz, one of {len(devices)}"
            yield Finding("sound card", "ok", detail)


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
    from livemove.synthesis import choose_engine

    part = f"{bundle.path.name} on {name}"
    try:
        realtime = choose_engine(name, bundle).realtime
    except LivemoveError as error:
        return Finding(part, "broken", str(error))
    detail = f"golden vector passed, {realtime:.1f} times real time"
    return Finding(part, "ok", detail) if realtime > 1 else Finding(part, "slow", f"{detail}: not enough to play")


def _live(model: str | None) -> Iterator[Finding]:
    """Whether the model can be held while poses are found, by which engine; else whether the stage setting could."""
    from livemove import steady
    from livemove.load import other_cores_busy
    from livemove.synthesis import settings
    from livemove.synthesis.native import NativeEngine

    if model is None:
        return
    try:
        bundle = load_bundle(model)
    except BundleError as error:
        yield Finding(f"{model} live", "broken", str(error))
        return
    engines = [name for name in LIVE_ENGINES if name != "onnx" or bundle.onnx_path is not None]
    report = steady.run(bundle, engines, MEASURED_S / 60)
    for refused in report.absent:
        yield Finding(f"{model} live on {refused['engine']}", "broken", refused["why"])
    found = live_findings(model, report.results, report.load)
    yield from found
    if found[-1].state != "ok":
        stage = settings.stage()
        engine = NativeEngine(stage, settings.random_weights(stage), precision="int8")
        with other_cores_busy():
            tried = steady.hold(engine, round(MEASURED_S * stage.sample_rate / HOP))
        can = "would hold" if holds(tried) else "would not hold either"
        size = f"R{stage.residual} S{stage.skip}, {stage.layers} layers"
        detail = f"{can} on native-int8: {_hops(tried)} ({size})"
        yield Finding("stage setting live", "ok" if holds(tried) else "slow", detail)


def holds(run: Steadiness) -> bool:
    """Nothing late, and room for the median to grow."""
    return run.late == 0 and run.median_ms <= (1.0 - SPARE) * run.hop_ms


def live_findings(model: str, runs: Sequence[Steadiness], load: str) -> list[Finding]:
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


def _hops(run: Steadiness) -> str:
    spare = 100 * max(1.0 - run.median_ms / run.hop_ms, 0.0)
    return (
        f"{run.median_ms:.2f} of {run.hop_ms:.2f} ms a hop, longest {run.max_ms:.2f}, {run.late} of {run.hops} late, "
        f"{spare:.0f} % to spare"
    )


def whatever_is_missing(camera: str, device: str | None, output: Path | None, first: LivemoveError) -> list[str]:
    """The trouble a session met first, and with it the other one that a machine without camera or sound card has."""
    from livemove.capture.config import CaptureConfig
    from livemove.capture.sources import check_source
    from livemove.playback.device import find_device

    troubles = [str(first)]
    try:
        if camera.isdecimal():
            check_source(CaptureConfig(camera=camera))
    except LivemoveError as error:
        troubles.append(str(error))
    try:
        if output is None:
            find_device(device)
    except LivemoveError as error:
        troubles.append(str(error))
    return list(dict.fromkeys(troubles))
