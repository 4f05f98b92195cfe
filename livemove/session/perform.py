"""The supervisor: builds the shared memory, starts the children, watches and restarts them, and decides on requests.

In: a SessionConfig. Out: Status a few times a second while it plays, and a Report when it ends.
Must not know torch, cv2, Qt, sounddevice or onnxruntime: they live in the children. Prints nothing.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from livemove import numbers
from livemove.body.features import FEATURES
from livemove.body.mapping import mapping_for
from livemove.bundle import Bundle, load_bundle
from livemove.contracts import Action, Channel, Controls, LivemoveError, OutputError, Request, SupervisorStatus
from livemove.control.feedback import Loaded
from livemove.control.keys import Typed
from livemove.control.steering import steer
from livemove.control.user_files import is_fitted
from livemove.ipc.segment import Segment, now_s
from livemove.ipc.signals import stop_signals
from livemove.monitor.monitor_config import MonitorConfig
from livemove.session.answers import Answers, Asker
from livemove.session.device_switching import DeviceSwitching
from livemove.session.report import Report, Status, StatusReader, final_report
from livemove.session.session_config import SET_AT_START, PresetDevices, SessionConfig
from livemove.session.spare import SparedChild
from livemove.session.supervisor import RUNS, Child, Log, Window
from livemove.synthesis.synthesis_config import Layer, levels
from livemove.takes.folder import TakenModel, model_sha256
from livemove.takes.history import TakeSettings
from livemove.takes.recorder import TakeRecorder, check_takes
from livemove.takes.wav_recorder import WavRecorder, check_writable

__all__ = ["PresetDevices", "Report", "SessionConfig", "Status", "process_start_s", "run_session"]

STATUS_S = 0.2
KEEP_S = 2.0
"""At the end a preset that is being written has so long."""


def run_session(
    config: SessionConfig,
    on_status: Callable[[Status], None],
    typed: Callable[[], Typed] | None = None,
    keep: Callable[[Status, str], str] | None = None,
) -> Report:
    """Play until the duration ends, the video ends, or SIGINT/SIGTERM/SIGHUP; blocks. Call from the main thread.

    typed: called many times a second, gives what was asked for by whoever called us, and never waits. keep: keeps what
    is set as a preset of that name ("": a free one) and gives a line that says where; called on a thread of its own, as
    it writes a file; raises LivemoveError.

    duration_s counts from when everything runs. Raises the LivemoveError a child met at start-up (bad bundle, camera,
    device ...), as the same class and message.
    """
    started_s = process_start_s() if config.started_s is None else config.started_s
    stacks = _load_set(config)
    if config.output is not None:
        check_writable(config.output)
    if config.takes.record:
        check_takes(config.takes.folder)
    if config.takes.video and config.capture.kind in ("demo", "take"):
        raise OutputError(
            f"--video: {config.capture.camera} gives poses and no images; use a webcam, a URL or a video file"
        )
    segment = Segment.create()
    try:
        segment.controls.write(_first_controls(config))
        with stop_signals() as interrupted, Log() as log:
            return _play(_Session(config, stacks, segment, log, started_s, interrupted, on_status, typed, keep))
    finally:
        segment.close()
        segment.unlink()


def _load_set(config: SessionConfig) -> list[list[Bundle]]:
    """The layers of all there is to switch to, what plays first first."""
    stacks = [[load_bundle(layer.model) for layer in layers] for layers in config.synthesis.stacks]
    first = stacks[0][0]
    for bundle in (bundle for stack in stacks for bundle in stack):
        if bundle.spec.sample_rate != first.spec.sample_rate:
            raise LivemoveError(
                f"{bundle.path} plays at {bundle.spec.sample_rate} Hz and {first.path} at {first.spec.sample_rate}: "
                "models of one set need the same rate"
            )
    return stacks


def _name(stack: list[Bundle]) -> str:
    """What it is called wherever a person reads it."""
    return "+".join(bundle.path.name for bundle in stack)


def _first_controls(config: SessionConfig) -> Controls:
    """Those of the first preset, if there is one, and what the configuration says itself."""
    first = Controls(**levels(config.synthesis.stacks[0]))
    if config.presets:
        first = replace(config.presets[0], preset=1)
    return replace(first, **{name: getattr(config.start, name) for name in SET_AT_START})


def _play(session: _Session) -> Report:
    """Its own frame, so that nothing looks into the shared memory any more when that is closed."""
    try:
        session.play()
    finally:
        session.end()
    return session.report()


def process_start_s() -> float:
    """When this process started, on the clock of `now_s`; where the system does not tell, when we were loaded."""
    try:
        fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
        since_boot_s = float(Path("/proc/uptime").read_text().split()[0])
        return now_s() - (since_boot_s - int(fields[19]) / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return _LOADED_S


_LOADED_S = now_s()


def _second_dancers(stack: Sequence[Bundle], layers: Sequence[Layer]) -> tuple[int, tuple[Channel, ...]]:
    """ControlConfig.second of a stack."""
    at = 0
    for bundle, layer in zip(stack, layers, strict=True):
        if layer.dancer == 1:
            return at, bundle.spec.channels
        at += len(bundle.spec.channels)
    return 0, ()


def _take_settings(config: SessionConfig, stacks: list[list[Bundle]]) -> TakeSettings:
    def taken(bundle: Bundle, layer: Layer, number: int) -> TakenModel:
        return TakenModel(
            bundle.spec.name, str(bundle.path.resolve()), model_sha256(bundle.path), "", 0.0,
            bundle.spec.channel_names, "", number, layer.transpose, -1.0 if layer.note is None else layer.note,
            layer.dancer,
        )  # fmt: skip

    return TakeSettings(
        config=config.takes,
        models=tuple(
            taken(bundle, layer, number)
            for stack, layers in zip(stacks, config.synthesis.stacks, strict=True)
            for number, (bundle, layer) in enumerate(zip(stack, layers, strict=True), 1)
        ),
        mappings=tuple(path for paths in _mappings(config, stacks) for path in paths),
        features=FEATURES,
        model_rate=stacks[0][0].spec.sample_rate,
        seed=config.synthesis.seed,
        camera=config.capture.camera,
    )


def _mappings(config: SessionConfig, stacks: list[list[Bundle]]) -> list[list[Path | None]]:
    """Each layer's mapping: the one that was asked for, or the model's own."""
    return [
        [layer.mapping or bundle.mapping_path for layer, bundle in zip(layers, stack, strict=True)]
        for layers, stack in zip(config.synthesis.stacks, stacks, strict=True)
    ]


class _Session:
    """The children of one run and what is known about them."""

    def __init__(
        self,
        config: SessionConfig,
        stacks: list[list[Bundle]],
        segment: Segment,
        log: Log,
        started_s: float,
        interrupted: threading.Event,
        on_status: Callable[[Status], None],
        typed: Callable[[], Typed] | None = None,
        keep: Callable[[Status, str], str] | None = None,
    ) -> None:
        self.config = config
        self.stacks = stacks
        self.bundles = bundles = [stack[0] for stack in stacks]  # of several layers the first is steered and shown
        self.bundle = bundle = bundles[0]
        self.names = [_name(stack) for stack in stacks]
        self.segment = segment
        self.log = log
        self.started_s = started_s
        self.interrupted = interrupted
        self.on_status = on_status
        self.typed = typed
        self.keep = keep
        self.keeping: list[threading.Thread] = []
        self.playing_s: float | None = None
        self.ended_s: float | None = None
        self.phase = "starting"
        self.notices: deque[str] = deque()
        self.pressed: deque[Request] = deque()
        self.reader = StatusReader(segment)
        self.engine = ""
        self.recorder = WavRecorder(segment, config.output) if config.output else None
        self.take_recorder = TakeRecorder(segment, _take_settings(config, stacks))
        capture = replace(config.capture, video_address=self.take_recorder.video_address)
        sends = {"osc": config.control.osc_out, "midi": config.control.midi_out, "beat": config.control.beat}
        sends = tuple(name for name, to in sends.items() if to is not None)
        synthesis = replace(config.synthesis, sends=sends, dancers=config.capture.dancers)
        playback = replace(
            config.playback,
            model_rate=bundle.spec.sample_rate,
            fallback=config.output is not None,
            patient=config.playback.device is not None,
        )
        configs: dict[str, Any] = {"capture": capture, "synthesis": synthesis, "playback": playback}
        if config.control.wanted:
            models = tuple(self.names)
            channels = tuple(each.spec.channels for each in bundles)
            styles = tuple(each.spec.styles for each in bundles)
            second = tuple(map(_second_dancers, stacks, config.synthesis.stacks))
            configs["control"] = replace(config.control, models=models, channels=channels, styles=styles, second=second)
        kinds = {"synthesis": SparedChild} if config.spare else {}
        self.children = {role: kinds.get(role, Child)(role, segment, each, log) for role, each in configs.items()}
        switched_to = (each.camera for each in config.preset_devices if each.camera is not None)
        self.switching = DeviceSwitching(
            segment,
            self.children["capture"],
            self.children["playback"],
            (*config.cameras, *switched_to),
            config.devices,
            self.notices,
        )
        self.controls: Controls = segment.controls.read()
        self.told = SupervisorStatus()
        self.unknown: set[Request] = set()
        self.answers = Answers(self.notices)
        self.loaded: dict[tuple[int, int], Loaded] = {}
        self.window: Window | None = None
        if config.monitor:
            mappings = [paths[0] for paths in _mappings(config, stacks)]
            fitted = [path is not None and is_fitted(path) for path in mappings]
            _, *others = zip((b.spec for b in bundles), mappings, fitted, strict=True)
            shown = MonitorConfig(
                bundle.spec, mappings[0], config.capture.camera, config.output, tuple(others), config.control.presets,
                fitted[0], config.audience, tuple(tuple(b.spec.name for b in stack) for stack in stacks),
            )  # fmt: skip
            self.window = Window(segment, shown, log)

    def play(self) -> None:
        """From the first child's start until it is time to stop."""
        for child in self.children.values():
            child.start()
        self.take_recorder.start()
        if self.config.takes.record:
            self.take_recorder.record_all()
        status_due_s = now_s()
        while not self.interrupted.is_set():
            self._wait()
            self._decide()  # first: who wants silence does not wait for a child that is started
            for child in self._everybody():
                if notice := child.watch():
                    self.notices.append(notice)
            self._listen()
            now = now_s()
            if self.playing_s is None and all(c.process_state.state in RUNS for c in self.children.values()):
                self._everything_runs(now)
            if now >= status_due_s:
                self._tell()
                status_due_s = now + STATUS_S
            if self.playing_s is None:
                continue
            if self.config.duration_s is not None and now - self.playing_s >= self.config.duration_s:
                return
            if self.children["capture"].over:
                if self.config.duration_s is not None:
                    played_s = now - self.playing_s
                    self.notices.append(f"the video ended after {played_s:.1f} of {self.config.duration_s:g} s")
                return

    def _listen(self) -> None:
        """What children and recorders have to say since the last time."""
        for child in self._everybody():
            if notice := child.remark():
                self.notices.append(notice)
        while self.recorder and (trouble := self.recorder.trouble()):
            self.notices.append(trouble)
        while notice := self.take_recorder.notice():
            self.notices.append(notice)

    def _wait(self) -> None:
        """20 ms, or until somebody asked for something. Keys are looked at more often: panic may be one of them."""
        for _ in range(5):
            if self.segment.wait_asked(0.004):
                return
            if self.typed is None:
                continue
            found = self.typed()
            self.notices.extend(found.lines)
            if found.requests:
                for request in found.requests:
                    if request.action is Action.PANIC:
                        self.segment.panic()
                self.pressed.extend(found.requests)
                return

    def _everybody(self) -> list[Child]:
        """The window joins once it plays: until then every core is needed for the first sound."""
        playing = self.window is not None and self.playing_s is not None
        return [*self.children.values(), *([self.window] if self.window and playing else [])]

    def _asked(self) -> Iterator[tuple[Asker, Request]]:
        """Everything that was asked since the last time."""
        queues = (
            (Asker.WINDOW, self.segment.requests),
            (Asker.OUTSIDE, self.segment.commands),
            (Asker.OUTSIDE, self.segment.triggered),
        )
        for asker, queue in queues:
            while (request := queue.take()) is not None:
                yield asker, request
        while self.pressed:
            yield Asker.TERMINAL, self.pressed.popleft()

    def _decide(self) -> None:
        """On everything that was asked since the last time."""
        for asker, asked in self._asked():
            if (request := self._by_number(asked)) is None:
                continue
            if request.action is Action.STOP:
                self.interrupted.set()
            if request.action is Action.RECORD:
                self.take_recorder.record(request.amount != 0.0 if request.absolute else None)
            if request.action is Action.SAVE_LAST:
                self.take_recorder.save_last()
            if request.action in (Action.CAMERA, Action.DEVICE):
                if self.playing_s is None:
                    self.notices.append("cameras and audio devices can be changed once it plays")
                else:
                    self.switching.change(request)
            if request.action is Action.SAVE_PRESET:
                self._keep(request.text)
            styles = len(self.bundles[self.controls.model].spec.styles)
            before = self.controls
            self.controls = steer(before, request, styles, len(self.bundles), self.config.presets)
            if request.action is Action.MODEL and self.controls.model != before.model:
                self.controls = replace(self.controls, **levels(self.config.synthesis.stacks[self.controls.model]))
            self.segment.controls.write(self.controls)
            again = request.action is Action.PRESET and not request.absolute and self.controls.preset > 0
            if self.controls.preset != before.preset or again:
                self.notices.append(f"preset: {self.config.control.presets[self.controls.preset - 1]}")
                if self.config.preset_devices:
                    self.switching.switch_to(self.config.preset_devices[self.controls.preset - 1])
            elif self.controls.model != before.model:
                self.notices.append(f"model: {self.names[self.controls.model]}")
            self.answers.answer(asker, request, before, self.controls, self._loaded)

    def _by_number(self, request: Request) -> Request | None:
        """A preset or model that a trigger names, as everybody else asks for it; None: there is no such, with a notice
        once for each."""
        lists = {Action.PRESET: self.config.control.presets, Action.MODEL: self.names}
        names = lists.get(request.action)
        if names is None or not request.text:
            return request
        if request.text in names:
            return Request(request.action, float(names.index(request.text)), absolute=True)
        if request not in self.unknown:
            self.unknown.add(request)
            kind = request.action.name.lower()
            there = f"there are: {', '.join(names)}" if names else "none is loaded; load it with --preset"
            self.notices.append(f"a trigger asks for {kind} {numbers.shown(request.text)}: {there} (said once)")
        return None

    def _loaded(self) -> Loaded:
        """What there is to be steered; the mapping's file is read for it when it may be another one."""
        model, reloads = self.controls.model, self.controls.reloads
        if (model, reloads) not in self.loaded:
            bundle, path = self.bundles[model], _mappings(self.config, self.stacks)[model][0]
            mapping = None
            with contextlib.suppress(LivemoveError):  # synthesis says so, and plays with the one it has
                mapping = mapping_for(path, bundle.spec, FEATURES)
            there = Loaded(
                self.names, self.config.control.presets, self.names[model], bundle.spec, mapping,
                from_file=path is not None, layers=len(self.stacks[model]),
            )  # fmt: skip
            self.loaded = {(model, reloads): there}
        return self.loaded[model, reloads]

    def _keep(self, name: str) -> None:
        """What is set, as a preset, beside the loop: a disk may be slow, and mute must not wait for it."""
        if self.keep is None:
            self.notices.append("presets cannot be kept here")
            return
        keep, status = self.keep, self._status(None)

        def work() -> None:
            try:
                self.notices.append(keep(status, name))
            except LivemoveError as error:
                self.notices.append(f"not kept: {error}")

        self.keeping.append(threading.Thread(target=work, name="preset: disk", daemon=True))
        self.keeping[-1].start()

    def _everything_runs(self, now: float) -> None:
        self.playing_s = now
        self.phase = "playing"
        self.engine = self.segment.processes["synthesis"].label
        if self.recorder:
            self.recorder.start()
        if self.window:
            self.window.start()

    def end(self) -> None:
        """Fade out, join everybody, kill who does not end. Also after an error at start-up."""
        self.ended_s = now_s()
        self.phase = "stopping"
        self.segment.request_stop()
        self._tell()
        deadline_s = self.ended_s + 2.0
        for child in self._everybody():
            child.join(deadline_s)
        if self.recorder:
            self.recorder.stop()
        self.take_recorder.stop()
        for thread in self.keeping:
            thread.join(KEEP_S)
        self._listen()
        while self.notices:
            self._tell()

    def _tell(self) -> None:
        self.answers.settle(self.ended_s is not None)
        status = self._status(self.notices.popleft() if self.notices else None)
        if self.playing_s is not None:
            self.switching.settle()
        if self.switching.arrived():
            self.take_recorder.name_camera(self.switching.camera)
        devices = self.switching.devices()
        began_s = self.told.recording_since_s or now_s()
        self.told = SupervisorStatus(
            written_s=now_s(),
            playing_since_s=self.playing_s or 0.0,
            restarts=status.restarts,
            notices=self.told.notices + (status.notice is not None),
            notice=status.notice or self.told.notice,
            recording_since_s=began_s if status.recording else 0.0,
            cameras=tuple(self.switching.cameras),
            camera=self.switching.camera_place(),
            devices=devices,
            device=self.switching.device_place(devices),
        )
        self.segment.supervisor_status.write(self.told)
        self.on_status(status)

    def _status(self, notice: str | None) -> Status:
        return self.reader.status(
            self.bundles[self.controls.model].spec,
            phase=self.phase,
            seconds=0.0 if self.playing_s is None else now_s() - self.playing_s,
            camera=self.children["capture"].config.camera,
            card=self.children["playback"].config.device,
            recording=self.take_recorder.recording,
            controls=self.controls,
            restarts=self._restarts(),
            notice=notice,
        )

    def _restarts(self) -> dict[str, int]:
        restarts = {role: child.restarts for role, child in self.children.items()}
        return {**restarts, "monitor": self.window.restarts if self.window else 0}

    def report(self) -> Report:
        assert self.ended_s is not None
        report = final_report(
            self.segment,
            self.bundle.spec,
            engine=self.engine,
            seconds=self.ended_s - self.playing_s if self.playing_s is not None else 0.0,
            started_s=self.started_s,
            restarts=self._restarts(),
            take_overs=self._take_overs(),
        )
        report["model"] = "+".join(bundle.spec.name for bundle in self.stacks[0])
        return report

    def _take_overs(self) -> int:
        synthesis = self.children["synthesis"]
        return synthesis.take_overs if isinstance(synthesis, SparedChild) else 0
