"""The instrument offline: the landmarks of every frame of a clip, in order, through the same chain into a file.

In: a RenderConfig. Out: WAV, or mp4 with the sound under the video, and a RenderReport. Pose runs in threads
beside synthesis. Must not know devices, sessions or the terminal.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import soundfile as sf

from livemove.body.dancers import Dancer, not_looked_for
from livemove.body.features import FEATURES, FeatureSpec
from livemove.body.mapping import Mapping, mapping_for
from livemove.body.posture_files import Taught, check_taught, taught_in
from livemove.body.postures import Posture
from livemove.bundle import load_bundle
from livemove.capture.landmarker import Landmarker, preload
from livemove.capture.posemodel import find_pose_model
from livemove.contracts import HOP, Controls, Engine, Float32, LivemoveError, ModelSpec, OutputError, PoseFrame
from livemove.ipc.segment import Segment
from livemove.media import soundtrack, video_file
from livemove.native._realtime import LIMITER_DELAY, Output
from livemove.synthesis.effects import SETTINGS, Effects, EffectSettings
from livemove.synthesis.engines import make_engine
from livemove.synthesis.mixing import Mixer
from livemove.synthesis.style_blend import StyleBlend
from livemove.synthesis.synthesis_config import Layer

SUFFIXES = (".wav", ".mp4")
BATCH_HOPS = 16

LANDMARKERS = 2
TURN_S = 10.0
SETTLE_S = 1.0
"""Pose takes most of the time, and one core: two landmarkers take turns of ten seconds, each beginning a second early.
How many there are never depends on the machine, so the file does not either. Two dancers have one, which knows who is
who from the beginning, and looks at both side by side."""

LOOKS_AHEAD = 4096
"""Frames a landmarker may be ahead of synthesis: more than two turns."""


@dataclass(frozen=True)
class RenderConfig:
    """What a run of `livemove render` does; one field per command line option. layers: what plays at once, in place of
    model and mapping. postures: the folder of those that were taught. dry: without delay and reverberation, whatever
    the mapping plays of them."""

    clip: Path
    output: Path
    model: Path
    engine: str = "auto"
    provider: str = "cpu"
    mapping: Path | None = None
    pose: str = "full"
    pose_model: Path | None = None
    pose_runtime: str = "auto"
    style: int = 0
    styles: tuple[float, ...] = ()
    temperature: float = 1.0
    gain: float = 1.0
    seed: int = 0
    duration_s: float | None = None
    mirrored: bool = False
    dancers: int = 1
    layers: tuple[Layer, ...] = ()
    postures: Path | None = None
    reverb: float = 0.0
    delay: float = 0.0
    dry: bool = False

    @property
    def stack(self) -> tuple[Layer, ...]:
        """The layers that play at once: `layers`, else model and mapping alone."""
        return self.layers or (Layer(self.model, self.mapping),)


@dataclass(frozen=True)
class Progress:
    """How far it is. stage is "sound" or "video"; of the whole clip, done_s seconds of total_s are finished."""

    stage: str
    done_s: float
    total_s: float


class RenderReport(TypedDict):
    """What `render --report FILE` writes. clip_seconds: how long the file says it is, or what was asked for of it; 0 if
    it says nothing. seconds: what came of it. notices: what went wrong with the mapping's sources, each once. triggers:
    when each of the mapping's fired, in seconds; what they ask for and send happens live only."""

    engine: str
    model: str
    clip: str
    output: str
    seconds: float
    clip_seconds: float
    sample_rate: int
    frames: int
    poses: int
    pose_ms_mean: float
    generate_realtime: float
    limiter_hits: int
    nonfinite_samples: int
    wall_s: float
    realtime: float
    notices: list[str]
    triggers: dict[str, list[float]]


@dataclass
class Take:
    """What the pose thread found, counted for the report."""

    frames: int = 0
    poses: int = 0
    pose_s: float = 0.0
    end_s: float = 0.0


def check_output(path: Path) -> None:
    """Raise OutputError unless a file of a known kind can be made there."""
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path}: the name must end in {' or '.join(SUFFIXES)}")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"{path}: cannot be written: no folder {folder}")
    if path.is_dir() or not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise OutputError(f"{path}: cannot be written: permission denied or a folder; choose another --output")


def render(config: RenderConfig, on_progress: Callable[[Progress], None]) -> RenderReport:
    """Render the clip to config.output, which appears whole or not at all. Raises LivemoveError.

    The same clip, model, options and seed give the same file, byte for byte.
    """
    began_s = time.perf_counter()
    check_output(config.output)
    clip = video_file.probe(config.clip)
    total_s = min(clip.seconds, config.duration_s or clip.seconds)
    taught = taught_in(config.postures)
    voices = _voices(config, taught)
    rate, sides = voices[0].spec.sample_rate, _sides(config, voices)
    take = Take()
    busy_s = 0.0
    with tempfile.TemporaryDirectory(prefix=".livemove-", dir=config.output.absolute().parent) as folder:
        sound = Path(folder) / "sound.wav"
        with (
            contextlib.closing(poses_of(config, 1 / clip.fps, take)) as poses,
            sound.open("w+b") as file,  # libsndfile would take no name that is no text
            sf.SoundFile(file, "w", rate, sides, "PCM_24", format="WAV") as wave,
            _Finish(rate, config.gain, sides) as finish,
        ):
            player = Player(config, voices, taught.postures)
            for pose, until_s in poses:
                started_s = time.perf_counter()
                for audio in player.play(pose, until_s):
                    busy_s += time.perf_counter() - started_s
                    wave.write(finish.add(audio))
                    started_s = time.perf_counter()
                on_progress(Progress("sound", min(until_s, total_s), total_s))
            samples = round(take.end_s * rate)
            wave.write(finish.end(samples - wave.frames))
            limiter_hits, nonfinite = finish.counts()
        result = sound
        if config.output.suffix.lower() == ".mp4":
            on_progress(Progress("video", 0.0, total_s))
            result = Path(folder) / "video.mp4"
            soundtrack.put_sound_under(config.clip, sound, result, lambda s: on_progress(Progress("video", s, total_s)))
        os.replace(result, config.output)
    wall_s = time.perf_counter() - began_s
    return RenderReport(
        engine=voices[0].engine.name,
        model="+".join(voice.spec.name for voice in voices),
        clip=str(config.clip),
        output=str(config.output),
        seconds=take.end_s,
        clip_seconds=clip.seconds if config.duration_s is None else config.duration_s,
        sample_rate=rate,
        frames=take.frames,
        poses=take.poses,
        pose_ms_mean=1e3 * take.pose_s / max(take.frames, 1),
        generate_realtime=take.end_s / max(busy_s, 1e-9),
        limiter_hits=limiter_hits,
        nonfinite_samples=nonfinite,
        wall_s=wall_s,
        realtime=take.end_s / wall_s,
        notices=list(dict.fromkeys(notice for voice in voices for notice in voice.mapping.notices)),
        triggers=player.fired,
    )


# --- the chain ----------------------------------------------------------------------------------------------


class Voice:
    """One layer: its mapping, its engine, its noise."""

    def __init__(
        self, config: RenderConfig, spec: ModelSpec, engine: Engine, mapping: Mapping, number: int = 0, dancer: int = 0
    ) -> None:
        """number: of the layer, from 0; dancer: who plays it."""
        self.spec, self.engine, self.mapping = spec, engine, mapping
        self._dancer = dancer
        self.inputs = np.full(len(FEATURES) + len(mapping.external), np.nan, np.float32)
        self.blend = StyleBlend(spec, HOP / spec.sample_rate)
        self.channels = np.zeros((BATCH_HOPS, len(spec.channels)), np.float32)
        self._controls = Controls(style=config.style, styles=config.styles)
        self._temperature = spec.temperature * config.temperature
        self._random = np.random.Generator(np.random.SFC64(config.seed + number))

    def step(self, hop: int, dancers: Sequence[Dancer], hop_s: float) -> None:
        """The channels of the hop-th of a batch. External inputs but the bodies' have not come."""
        own, external = dancers[self._dancer], self.inputs[len(FEATURES) :]
        self.inputs[: len(FEATURES)] = own.features
        own.events.put(external, self.mapping.external)
        for further in dancers[1:]:
            further.put(external, self.mapping.external)
        self.channels[hop] = self.mapping.step(self.inputs, hop_s)

    def generate(self, hops: int) -> Float32:
        """float32 [hops, HOP], of the channels of so many steps."""
        spec = self.spec
        noise = self._random.random((hops * spec.steps_per_hop, spec.noise_width), np.float32)
        out = np.zeros(hops * HOP, np.float32)
        style = self.blend.step(self._controls, self.mapping.styles)
        channels = np.ascontiguousarray(self.channels[:hops])
        self.engine.generate(out, channels, noise, style=style, temperature=self._temperature)
        return out.reshape(hops, HOP)


def _voices(config: RenderConfig, taught: Taught) -> list[Voice]:
    """Of all layers. Raises LivemoveError."""
    voices: list[Voice] = []
    for number, layer in enumerate(config.stack):
        bundle = load_bundle(layer.model)
        spec, first = bundle.spec, voices[0].spec if voices else bundle.spec
        if spec.sample_rate != first.sample_rate:
            rates = f"{spec.name} plays at {spec.sample_rate} Hz and {first.name} at {first.sample_rate}"
            raise LivemoveError(f"{rates}: layers need the same rate")
        path = layer.mapping or bundle.mapping_path
        mapping = mapping_for(path, spec, FEATURES)
        check_taught(mapping.external, taught, str(path))
        mapping.steer(transpose=layer.transpose, note=layer.note)
        mapping.notices += not_looked_for(mapping.external, config.dancers)
        engine = make_engine(config.engine, bundle, config.provider)
        voices.append(Voice(config, spec, engine, mapping, number, layer.dancer))
    return voices


def _is_wet(config: RenderConfig, voices: Sequence[Voice]) -> bool:
    """Whether delay or reverberation may be heard."""
    played = any(name != "pan" for name in voices[0].mapping.played_effects)
    return not config.dry and (played or config.reverb > 0.0 or config.delay > 0.0)


def _sides(config: RenderConfig, voices: Sequence[Voice]) -> int:
    """Of the file: 2 where something is not in the middle, else mono."""
    panned = any(layer.pan for layer in config.stack) or any("pan" in v.mapping.played_effects for v in voices)
    return 2 if panned or _is_wet(config, voices) else 1


class Player:
    """Features, mappings and engines on the clip's own clock: a hop is made from the frames on screen until it
    begins."""

    def __init__(self, config: RenderConfig, voices: Sequence[Voice], taught: Sequence[Posture] = ()) -> None:
        self.voices = voices
        self.dancers = [Dancer(number, FeatureSpec(), () if number else taught) for number in range(config.dancers)]
        self.hops = 0
        self.fired: dict[str, list[float]] = {t.name: [] for v in voices for t in v.mapping.triggers.triggers}
        self._hop_s = HOP / voices[0].spec.sample_rate
        self._mixer = Mixer(len(voices))
        self._gains, self._pans = [layer.gain for layer in config.stack], [layer.pan for layer in config.stack]
        rate = voices[0].spec.sample_rate
        self._controls = Controls(reverb=config.reverb, delay=config.delay)
        self._set_effects = EffectSettings(rate, self._controls)
        self._effects = Effects(rate) if _is_wet(config, voices) else None
        self._settings = np.zeros((BATCH_HOPS, len(SETTINGS)), np.float32)
        self._hop_pans = [self._pans] * BATCH_HOPS

    def play(self, pose: PoseFrame, until_s: float) -> Iterator[Float32]:
        """Audio float32 [n * HOP, 2] of the hops that begin while this pose is the newest, a few hops at a time."""
        hop_s = self._hop_s
        due = math.ceil(until_s / hop_s - 1e-6)
        heard_s = (self.hops + 0.5) * hop_s
        for dancer in self.dancers:
            dancer.update(pose, heard_s)
        # A call of the engine has one style.
        most = BATCH_HOPS if all(voice.mapping.styles is None for voice in self.voices) else 1
        while self.hops < due:
            hops = min(most, due - self.hops)
            for hop in range(hops):
                self._step(hop, (self.hops + hop + 0.5) * hop_s)  # channels are constant in a hop: its middle
            made = [voice.generate(hops) for voice in self.voices]
            mixed = [self._mixed(hop, [voice[hop] for voice in made]) for hop in range(hops)]
            self.hops += hops
            yield np.concatenate(mixed)

    def _mixed(self, hop: int, voices: list[Float32]) -> Float32:
        """float32 [HOP, 2] of the hop-th of a batch, with its effects."""
        mix = self._mixer.mix(voices, self._gains, self._hop_pans[hop]).copy()
        return mix if self._effects is None else self._effects.process(mix, self._settings[hop])

    def _step(self, hop: int, now_s: float) -> None:
        """The channels of the hop whose middle is at now_s, the hop-th of a batch."""
        for dancer in self.dancers:
            dancer.step(now_s, self._hop_s)
        for voice in self.voices:
            voice.step(hop, self.dancers, self._hop_s)
        self._settings[hop] = self._set_effects.step(self._controls, self.voices[0].mapping.effects)
        self._hop_pans[hop] = [v.mapping.pan(pan) for v, pan in zip(self.voices, self._pans, strict=True)]
        for voice in self.voices:
            for fired in voice.mapping.fired:
                times, at_s = self.fired[fired.trigger.name], round(now_s - 0.5 * self._hop_s, 4)
                if at_s not in times[-1:]:  # layers of one mapping fire together
                    times.append(at_s)


class _Finish:
    """What playback does to every sample (gain, fades, DC block, limiter), by the same native code, with no device."""

    def __init__(self, rate: int, gain: float, sides: int) -> None:
        self._segment = Segment.create()
        self._segment.controls.write(Controls(gain=gain))
        self._output: Output | None = Output(self._segment.bytes, rate, sides, 0.0)
        self._sides = sides
        self._fade = math.ceil(0.011 * rate)
        self._late = LIMITER_DELAY
        """Samples of silence that the limiter gives first: they are left out."""

    def __enter__(self) -> _Finish:
        return self

    def __exit__(self, *_: object) -> None:
        self._output = None  # it points into the segment
        self._segment.close()
        self._segment.unlink()

    def _render(self, frames: int) -> Float32:
        assert self._output is not None
        out = self._output.render(frames) if frames > 0 else np.zeros((0, self._sides), np.float32)
        late = min(self._late, len(out))
        self._late -= late
        return out[late:]

    def add(self, audio: Float32) -> Float32:
        """Finished samples float32 [n, sides] of audio float32 [m, 2], all but the last few, which are kept for the
        fade at the end."""
        self._segment.ring.write(audio)
        return self._render(self._segment.ring.fill - self._fade - HOP)

    def end(self, samples: int) -> Float32:
        """The last samples, faded out."""
        assert self._output is not None
        samples = min(max(samples + self._late - LIMITER_DELAY, 0), self._segment.ring.fill)
        fade = min(samples, self._fade)
        body = self._render(samples - fade)
        self._output.stop()
        return np.concatenate([body, self._render(fade + LIMITER_DELAY)])

    def counts(self) -> tuple[int, int]:
        """(limiter hits, non-finite samples)."""
        return self._segment.playback.limiter_hits, self._segment.playback.nonfinite_samples


# --- poses --------------------------------------------------------------------------------------------------


def poses_of(config: RenderConfig, frame_s: float, take: Take) -> Generator[tuple[PoseFrame, float]]:
    """(pose, until when it is the newest) of every frame, in order, from landmarkers that work side by side."""
    find_pose_model(config.pose, config.pose_model)
    preload(config.pose_runtime)  # both once, here: two threads that import or fetch the same thing meet it half done
    stop = threading.Event()
    landmarkers = LANDMARKERS if config.dancers == 1 else 1
    streams = [queue.Queue[_Look | BaseException | None](LOOKS_AHEAD) for _ in range(landmarkers)]
    threads = [
        threading.Thread(target=_look, args=(config, me, landmarkers, looks, stop), name=f"pose {me}", daemon=True)
        for me, looks in enumerate(streams)
    ]
    for thread in threads:
        thread.start()
    try:
        newest = None
        for pose, busy_s in _in_order(streams):
            if newest is not None:
                yield newest, pose.capture_s
            newest = pose
            take.frames += 1
            take.poses += pose.in_view > 0
            take.pose_s += busy_s
        if newest is not None:
            take.end_s = newest.capture_s + frame_s
            if config.duration_s is not None:
                take.end_s = min(take.end_s, config.duration_s)
            yield newest, take.end_s
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class _Look:
    """One landmarker at one frame: the pose, and the seconds it took; no pose when it is another's turn."""

    pose: PoseFrame | None
    busy_s: float


def _in_order(streams: list[queue.Queue[_Look | BaseException | None]]) -> Iterator[tuple[PoseFrame, float]]:
    """(pose, seconds it took) of every frame, from all landmarkers' looks at all frames. Raises what one met."""
    while True:
        for looks in streams:
            look = looks.get()
            if look is None:
                return
            if isinstance(look, BaseException):
                raise look
            if look.pose is not None:
                yield look.pose, look.busy_s


def _look(
    config: RenderConfig,
    me: int,
    landmarkers: int,
    looks: queue.Queue[_Look | BaseException | None],
    stop: threading.Event,
) -> None:
    """A thread: looks at the frames of its turns, and a while before each, for its tracking to settle."""

    def turn(time_s: float) -> int:
        return int(time_s // TURN_S) % landmarkers

    def put(item: _Look | BaseException | None) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                looks.put(item, timeout=0.1)
                return

    try:
        with Landmarker(
            config.pose, config.pose_model, runtime=config.pose_runtime, threads=config.dancers,
            dancer="largest" if config.dancers == 1 else "left", dancers=config.dancers,
        ) as landmarker:  # fmt: skip
            for time_s, image in video_file.some_frames(config.clip, lambda t: me in (turn(t), turn(t + SETTLE_S))):
                if stop.is_set() or (config.duration_s is not None and time_s >= config.duration_s):
                    break
                began_s = time.perf_counter()
                pose = None if image is None else landmarker.find(video_file.facing(image, config.mirrored), time_s)
                put(_Look(pose if turn(time_s) == me else None, time.perf_counter() - began_s))
        put(None)
    except BaseException as error:  # whatever it is, it is raised again where the file is written
        put(error)
