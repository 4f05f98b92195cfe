"""The supervisor: builds the shared memory, starts the children, watches and restarts them, and decides on requests.

In: a SessionConfig. Out: Status a few times a second while it plays, and a Report when it ends.
Must not know torch, cv2, Qt, sounddevice or onnxruntime: they live in the children. Prints nothing.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from livemove.body.features import FEATURES
from livemove.bundle import Bundle, load_bundle
from livemove.capture.config import CaptureConfig, cameras_here
from livemove.contracts import Action, Bulletin, ControlError, Controls, LivemoveError, OutputError, Request
from livemove.control.config import ControlConfig
from livemove.control.steering import choose, steer
from livemove.ipc.segment import Segment, now_s, percentile_ms
from livemove.ipc.signals import stop_signals
from livemove.monitor.config import MonitorConfig
from livemove.playback.config import PlaybackConfig
from livemove.session.supervisor import RUNS, Child, Log, Window
from livemove.synthesis.config import SynthesisConfig
from livemove.takes.folder import TakenModel, model_sha256
from livemove.takes.recorder import Keeper, Recorder, TakeSettings, check_takes, check_writable


@dataclass(frozen=True)
class Plugs:
    """What a preset plugs in while it plays; None: whatever is there."""

    camera: str | None = None
    mirror: bool | None = None
    device: str | None = None


@dataclass(frozen=True)
class SessionConfig:
    """What a run of `livemove perform` does; one field per command line option. Picklable.

    camera        index as text ("0"), video file, http/rtsp URL, or "demo"
    cameras       further ones to switch to while playing; those of the presets and the webcams there are come by
                  themselves
    device        None: the default output device; otherwise an index or part of a name
    devices       those to switch to while playing; empty: all there are
    samplerate    device rate in Hz; None: the model's own rate, or the device's own if it refuses that
    output        WAV of what is played; with output and device None, the sound goes to the default device too if there
                  is one, and to the file alone if there is none or play is False
    control       OSC and MIDI, in and out; models, presets and channels in it are filled in here
    muted         begins in silence
    presets       what each of the set list sets; control.presets are their names, plugs what each plugs in
    learn         Action that the first MIDI knob moved is to play; 0: none
    others        further models to switch to while playing, each with its mapping (None: its own)
    record        a take from the first sample on
    takes         folder in which takes are made, at any time
    keep_s        how much is kept in memory, to be made a take after the fact
    film          takes keep the camera's picture as well
    duration_s    None: until a signal, or until a camera file without loop ends
    started_s     when the command started, on the clock of `exchange.now_s`; None: this process's own start
    """

    model: Path
    camera: str = "0"
    cameras: tuple[str, ...] = ()
    loop: bool = False
    mirror: bool = False
    pose: str = "full"
    pose_model: Path | None = None
    engine: str = "auto"
    provider: str = "cpu"
    mapping: Path | None = None
    others: tuple[tuple[Path, Path | None], ...] = ()
    lookahead_s: float = 0.0
    style: int = 0
    temperature: float = 1.0
    gain: float = 1.0
    seed: int = 0
    device: str | None = None
    devices: tuple[str, ...] = ()
    block: int = 512
    samplerate: int | None = None
    output: Path | None = None
    record: bool = False
    takes: Path = Path()
    keep_s: float = 300.0
    film: bool = False
    play: bool = True
    control: ControlConfig = field(default_factory=ControlConfig)
    learn: int = 0
    muted: bool = False
    presets: tuple[Controls, ...] = ()
    plugs: tuple[Plugs, ...] = ()
    duration_s: float | None = None
    monitor: bool = True
    started_s: float | None = None


@dataclass(frozen=True)
class Status:
    """One look at the running session, a few times a second. Counters never go back.

    phase is "starting", "playing" or "stopping". notice is a line for the person, given once (a restart, no window).
    camera and card are what is plugged in, or on its way, as a SessionConfig would have it; device is its whole name.
    Values not known yet are None.
    """

    phase: str
    seconds: float
    engine: str | None = None
    device: str | None = None
    camera: str = ""
    card: str | None = None
    people: int = 0
    pose_fps: float | None = None
    pose_ms: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    ring_fill_ms: float = 0.0
    ring_target_ms: float = 0.0
    ring_starvations: int = 0
    late_callbacks: int = 0
    portaudio_underflows: int = 0
    limiter_hits: int = 0
    nonfinite_samples: int = 0
    peak: float = 0.0
    rms: float = 0.0
    recording: Path | None = None
    channels: dict[str, float] = field(default_factory=dict[str, float])
    controls: Controls = field(default_factory=Controls)
    restarts: dict[str, int] = field(default_factory=dict[str, int])
    notice: str | None = None


class Percentiles(TypedDict):
    p50: float | None
    p95: float | None


class Latency(Percentiles):
    max: float | None


class Report(TypedDict):
    """What `perform --report FILE` writes. A value that was never measured is None."""

    engine: str
    model: str
    seconds: float
    sample_rate: int
    block: int
    frames_seen: int
    poses: int
    pose_fps: float | None
    pose_ms: Percentiles
    hops: int
    generate_realtime: float | None
    ring_starvations: int
    late_callbacks: int
    portaudio_underflows: int
    nonfinite_samples: int
    limiter_hits: int
    restarts: dict[str, int]
    motion_to_sound_ms: Latency
    first_sound_s: float | None


STATUS_S = 0.2


def run_session(
    config: SessionConfig, on_status: Callable[[Status], None], typed: Callable[[], Sequence[Request]] | None = None
) -> Report:
    """Play until the duration ends, the film ends, or SIGINT/SIGTERM; blocks. Call from the main thread.

    typed: called many times a second, gives what was asked for by whoever called us, and never waits.

    duration_s counts from when everything runs. Raises the LivemoveError a child met at start-up (bad bundle, camera,
    device ...), as the same class and message.
    """
    started_s = process_start_s() if config.started_s is None else config.started_s
    bundles = _load_set(config)
    if config.output is not None:
        check_writable(config.output)
    if config.record:
        check_takes(config.takes)
    if config.film and CaptureConfig(camera=config.camera).kind in ("demo", "take"):
        raise OutputError(f"--film: {config.camera} gives poses and no picture; film a webcam, a URL or a video file")
    segment = Segment.create()
    try:
        segment.controls.write(_first_controls(config))
        with stop_signals() as interrupted, Log() as log:
            return _play(_Session(config, bundles, segment, log, started_s, interrupted, on_status, typed))
    finally:
        segment.close()
        segment.unlink()


def _load_set(config: SessionConfig) -> list[Bundle]:
    """Every model there is to switch to, the first one first."""
    first, *others = (load_bundle(model) for model in (config.model, *(model for model, _ in config.others)))
    for bundle in others:
        if bundle.spec.sample_rate != first.spec.sample_rate:
            raise LivemoveError(
                f"{bundle.path} plays at {bundle.spec.sample_rate} Hz and {first.path} at {first.spec.sample_rate}: "
                "models of one set need the same rate"
            )
    return [first, *others]


def _first_controls(config: SessionConfig) -> Controls:
    """Those of the first preset, if there is one, and what the configuration says itself."""
    first = replace(config.presets[0], preset=1) if config.presets else Controls()
    return replace(
        first, gain=config.gain, temperature=config.temperature, style=config.style, mute=config.muted,
        look_ahead_s=config.lookahead_s, learn=config.learn,
    )  # fmt: skip


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


def _take_settings(config: SessionConfig, bundles: list[Bundle]) -> TakeSettings:
    mappings = (config.mapping, *(mapping for _, mapping in config.others))
    return TakeSettings(
        folder=config.takes,
        models=tuple(
            TakenModel(b.spec.name, str(b.path.resolve()), model_sha256(b.path), "", 0.0, b.spec.channel_names, "")
            for b in bundles
        ),
        mappings=tuple(own or b.mapping_path for own, b in zip(mappings, bundles, strict=True)),
        features=FEATURES,
        model_rate=bundles[0].spec.sample_rate,
        block=config.block,
        seed=config.seed,
        camera=config.camera,
        keep_s=config.keep_s,
        film=config.film,
    )


class _Session:
    """The children of one run and what is known about them."""

    def __init__(
        self,
        config: SessionConfig,
        bundles: list[Bundle],
        segment: Segment,
        log: Log,
        started_s: float,
        interrupted: threading.Event,
        on_status: Callable[[Status], None],
        typed: Callable[[], Sequence[Request]] | None = None,
    ) -> None:
        self.config = config
        self.bundles = bundles
        self.bundle = bundle = bundles[0]
        self.segment = segment
        self.log = log
        self.started_s = started_s
        self.interrupted = interrupted
        self.on_status = on_status
        self.typed = typed
        self.playing_s: float | None = None
        self.ended_s: float | None = None
        self.phase = "starting"
        self.notices: deque[str] = deque()
        self.recent: deque[tuple[float, int, Any]] = deque()
        self.engine = ""
        self.recorder = Recorder(segment, config.output) if config.output else None
        self.keeper = Keeper(segment, _take_settings(config, bundles))
        capture = CaptureConfig(
            camera=config.camera,
            loop=config.loop,
            mirror=config.mirror,
            pose=config.pose,
            pose_model=config.pose_model,
            film=self.keeper.film_address,
        )
        synthesis = SynthesisConfig(
            model=config.model,
            engine=config.engine,
            provider=config.provider,
            mapping=config.mapping,
            others=config.others,
            seed=config.seed,
            block=config.block,
        )
        playback = PlaybackConfig(
            model_rate=bundle.spec.sample_rate,
            device=config.device,
            block=config.block,
            rate=config.samplerate,
            play=config.play,
            fallback=config.output is not None,
        )
        configs: dict[str, Any] = {"capture": capture, "synthesis": synthesis, "playback": playback}
        if config.control.wanted:
            models = tuple(each.path.name for each in bundles)
            channels = tuple(each.spec.channels for each in bundles)
            configs["control"] = replace(config.control, models=models, channels=channels)
        self.children = {role: Child(role, segment, each, log) for role, each in configs.items()}
        plugged = (plugs.camera for plugs in config.plugs if plugs.camera is not None)
        self.cameras = list(dict.fromkeys((config.camera, *config.cameras, *plugged, *cameras_here())))
        self.camera = config.camera
        self.card: str | None = None
        self.controls = segment.controls.read()
        self.told = Bulletin()
        self.window: Window | None = None
        if config.monitor:
            mappings = (config.mapping, *(mapping for _, mapping in config.others))
            first, *others = [(b.spec, own or b.mapping_path) for own, b in zip(mappings, bundles, strict=True)]
            shown = MonitorConfig(*first, config.camera, config.output, tuple(others), config.control.presets)
            self.window = Window(segment, shown, log)

    def play(self) -> None:
        """From the first child's start until it is time to stop."""
        for child in self.children.values():
            child.start()
        self.keeper.start()
        if self.config.record:
            self.keeper.record_all()
        status_due_s = now_s()
        while not self.interrupted.is_set():
            self.segment.wait_asked(0.02)
            for child in self._everybody():
                self.notices.extend(notice for notice in (child.watch(), child.remark()) if notice)
            self._decide()
            if self.recorder and (trouble := self.recorder.trouble()):
                self.notices.append(trouble)
            if notice := self.keeper.notice():
                self.notices.append(notice)
            now = now_s()
            if self.playing_s is None and all(c.life.state in RUNS for c in self.children.values()):
                self._everything_runs(now)
            if now >= status_due_s:
                self._tell()
                status_due_s = now + STATUS_S
            if self.playing_s is None:
                continue
            if self.config.duration_s is not None and now - self.playing_s >= self.config.duration_s:
                return
            if self.children["capture"].over:
                return

    def _everybody(self) -> list[Child]:
        """The window joins once it plays: until then every core is needed for the first sound."""
        playing = self.window is not None and self.playing_s is not None
        return [*self.children.values(), *([self.window] if self.window and playing else [])]

    def _asked(self) -> Iterator[Request]:
        """Everything that was asked since the last time."""
        for queue in (self.segment.requests, self.segment.commands):
            while (request := queue.take()) is not None:
                yield request
        if self.typed is not None:
            yield from self.typed()

    def _decide(self) -> None:
        """On everything that was asked since the last time."""
        for request in self._asked():
            if request.action is Action.STOP:
                self.interrupted.set()
            if request.action is Action.RECORD:
                self.keeper.record(request.amount != 0.0 if request.absolute else None)
            if request.action is Action.SAVE_LAST:
                self.keeper.save_last()
            if request.action in (Action.CAMERA, Action.DEVICE):
                self._change(request)
            styles = len(self.bundles[self.controls.model].spec.styles)
            before = self.controls
            self.controls = steer(before, request, styles, len(self.bundles), self.config.presets)
            self.segment.controls.write(self.controls)
            if self.controls.preset != before.preset:
                self.notices.append(f"preset: {self.config.control.presets[self.controls.preset - 1]}")
                if self.config.plugs:
                    self._plug_in(self.config.plugs[self.controls.preset - 1])
            elif self.controls.model != before.model:
                self.notices.append(f"model: {self.bundles[self.controls.model].path.name}")

    # --- other cameras, other sound cards

    def _change(self, request: Request) -> None:
        """To the camera or sound card that is asked for."""
        if self.playing_s is None:
            self.notices.append("cameras and sound cards can be changed once it plays")
            return
        try:
            if request.action is Action.CAMERA:
                source = CaptureConfig(camera=request.text)
                anything = request.text and (source.kind != "file" or Path(request.text).exists())
                place = self._camera_place()
                camera = request.text if anything else choose(request, self.cameras, place)
                self._plug_in(Plugs(camera=camera))
            elif not self.config.play:
                self.notices.append("this performance goes into a file alone: there is no sound card to change")
            else:
                devices = self._devices()
                card = choose(request, devices, self._device_place(devices))
                self._plug_in(Plugs(device=card))
        except ControlError as error:
            self.notices.append(str(error))

    def _plug_in(self, plugs: Plugs) -> None:
        """What is not plugged in already."""
        capture, playback = self.children["capture"], self.children["playback"]
        camera: CaptureConfig = capture.config
        wanted = camera
        if plugs.camera is not None and plugs.camera != camera.camera:
            # The end of a film is the end of the show, but not of one that is only looked at in between.
            wanted = replace(wanted, camera=plugs.camera, loop=True)
        if plugs.mirror is not None:
            wanted = replace(wanted, mirror=plugs.mirror)
        if wanted != camera:
            capture.switch(wanted, f"camera: {wanted.camera}", f"going on with camera {camera.camera}")
        if plugs.device is None or not self.config.play:
            return
        devices = self._devices()
        try:
            card = choose(Request(Action.DEVICE, text=plugs.device), devices, -1)
        except ControlError as error:
            self.notices.append(str(error))
            return
        now = self._device_place(devices)
        if card is None or (now >= 0 and card == devices[now]):
            return
        number, _, label = card.partition(" ")
        twins = [each for each in devices if each.partition(" ")[2] == label]
        device = card if card not in devices else label if len(twins) == 1 else number
        old = self.segment.lives["playback"].label or playback.config.device or "the default sound card"
        self.card = card
        playback.switch(
            replace(playback.config, device=device, rate=None), f"sound card: {label or card}", f"going on with {old}"
        )

    def _camera_place(self) -> int:
        """Of the camera that is in use, or on its way."""
        camera = self.children["capture"].config.camera
        return self.cameras.index(camera) if camera in self.cameras else -1

    def _devices(self) -> tuple[str, ...]:
        """Sound cards to switch to, "N NAME (HOST)"; one that was given and is not there, as it was given."""
        there = self.segment.devices
        given: dict[str, None] = {}
        for device in self.config.devices:
            try:
                name = choose(Request(Action.DEVICE, text=device), there, -1)
            except ControlError:
                name = device
            given[name or device] = None
        return tuple(given) or there

    def _device_place(self, devices: tuple[str, ...]) -> int:
        """Of the sound card that is in use, or on its way; -1: it is none of these."""
        label = self.segment.lives["playback"].label
        names = [each for each in devices if label in (each, each.partition(" ")[2])]
        card = self.card if self.children["playback"].switching or self.card in names else next(iter(names), None)
        return devices.index(card) if card in devices else -1

    def _everything_runs(self, now: float) -> None:
        self.playing_s = now
        self.phase = "playing"
        self.engine = self.segment.lives["synthesis"].label
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
        self.keeper.stop()
        while notice := self.keeper.notice():
            self.notices.append(notice)
            self._tell()

    def _tell(self) -> None:
        status = self._status()
        if not self.children["capture"].switching and status.camera != self.camera:
            self.camera = status.camera
            self.cameras = list(dict.fromkeys((*self.cameras, self.camera)))
            self.keeper.name_camera(self.camera)
        devices = self._devices()
        began_s = self.told.recording_since_s or now_s()
        self.told = Bulletin(
            written_s=now_s(),
            playing_since_s=self.playing_s or 0.0,
            restarts=status.restarts,
            notices=self.told.notices + (status.notice is not None),
            notice=status.notice or self.told.notice,
            recording_since_s=began_s if status.recording else 0.0,
            cameras=tuple(self.cameras),
            camera=self._camera_place(),
            devices=devices,
            device=self._device_place(devices),
        )
        self.segment.bulletin.write(self.told)
        self.on_status(status)

    def _status(self) -> Status:
        segment = self.segment
        now = now_s()
        histogram = segment.playback.latency_histogram
        poses = segment.capture.poses
        self.recent.append((now, poses, histogram))
        while len(self.recent) > 2 and now - self.recent[0][0] > 2.0:
            self.recent.popleft()
        then, poses_then, histogram_then = self.recent[0]
        lately = histogram - histogram_then
        rate = segment.device_rate or self.bundle.spec.sample_rate
        names = self.bundles[self.controls.model].spec.channel_names
        return Status(
            phase=self.phase,
            seconds=0.0 if self.playing_s is None else now - self.playing_s,
            engine=segment.lives["synthesis"].label or None,
            device=segment.lives["playback"].label or None,
            camera=self.children["capture"].config.camera,
            card=self.children["playback"].config.device,
            people=segment.capture.people,
            pose_fps=(poses - poses_then) / (now - then) if poses and now > then else None,
            pose_ms=segment.capture.pose_ms if poses else None,
            latency_p50_ms=percentile_ms(lately, 0.5),
            latency_p95_ms=percentile_ms(lately, 0.95),
            ring_fill_ms=1e3 * segment.ring.fill / rate,
            ring_target_ms=1e3 * segment.ring.target / rate,
            ring_starvations=segment.playback.ring_starvations,
            late_callbacks=segment.playback.late_callbacks,
            portaudio_underflows=segment.playback.portaudio_underflows,
            limiter_hits=segment.playback.limiter_hits,
            nonfinite_samples=segment.playback.nonfinite_samples,
            peak=segment.playback.peak,
            rms=segment.playback.rms,
            recording=self.keeper.recording,
            channels=dict(zip(names, segment.synthesis.channels.tolist(), strict=False)),
            controls=self.controls,
            restarts=self._restarts(),
            notice=self.notices.popleft() if self.notices else None,
        )

    def _restarts(self) -> dict[str, int]:
        restarts = {role: child.restarts for role, child in self.children.items()}
        return {**restarts, "monitor": self.window.restarts if self.window else 0}

    def report(self) -> Report:
        capture, synthesis, playback = self.segment.capture, self.segment.synthesis, self.segment.playback
        pose_ms, latency = capture.pose_ms_histogram, playback.latency_histogram
        busy_s = synthesis.busy_s
        first_sound_s = playback.first_sound_s
        assert self.ended_s is not None
        return Report(
            engine=self.engine,
            model=self.bundle.spec.name,
            seconds=self.ended_s - self.playing_s if self.playing_s is not None else 0.0,
            sample_rate=round(self.segment.device_rate),
            block=self.config.block,
            frames_seen=capture.frames_seen,
            poses=capture.poses,
            pose_fps=capture.pose_fps,
            pose_ms={"p50": percentile_ms(pose_ms, 0.5), "p95": percentile_ms(pose_ms, 0.95)},
            hops=synthesis.hops,
            generate_realtime=synthesis.audio_samples / self.bundle.spec.sample_rate / busy_s if busy_s else None,
            ring_starvations=playback.ring_starvations,
            late_callbacks=playback.late_callbacks,
            portaudio_underflows=playback.portaudio_underflows,
            nonfinite_samples=playback.nonfinite_samples,
            limiter_hits=playback.limiter_hits,
            restarts=self._restarts(),
            motion_to_sound_ms={
                "p50": percentile_ms(latency, 0.5),
                "p95": percentile_ms(latency, 0.95),
                "max": playback.latency_max_ms if latency.any() else None,
            },
            first_sound_s=first_sound_s - self.started_s if first_sound_s else None,
        )
