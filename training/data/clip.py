"""From one source to one clip of the corpus: decode, see the body, describe the sound, write. Runs in any process.

In: an Item and Settings. Out: the clip's files and its row; a source that cannot be used gives a row that says why.
The body goes through the landmarker and the FeatureStream that play live. Knows nothing of workers or terminals.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from livemove.body.features import FEATURES, TABLE, FeatureStream
from livemove.capture.landmarker import Landmarker
from livemove.contracts import HOP, Channel, Float32, Float64, LivemoveError, PoseFrame
from livemove.media import sound_file, video_file
from livemove.media.opening import MediaError
from livemove.synthesis import architectures as instruments
from training.data import descriptors, procedural
from training.data.corpus import Clip, packed, write_clip
from training.data.items import Item
from training.data.phase import recover

TRACK_CHANNELS: dict[str, tuple[Channel, ...]] = {
    "features": tuple(Channel(f.name, f.doc, f.minimum, f.maximum, f.rest) for f in TABLE),
    "descriptors": descriptors.CHANNELS,
    "controls": (instruments.PITCH, instruments.LOUDNESS, instruments.BRIGHTNESS),
}
KIND_TRACKS = {"film": ("descriptors", "features"), "sound": ("descriptors",), "procedural": ("controls",)}

SILENT_DBFS = -60.0
"""A clip that is never louder teaches nothing."""
PART_S = 300.0
"""What is longer becomes several clips: a worker holds so much of a source at most."""
PART_MARK = "+"
"""Before the number of a further part, in its name: no source's own name has one."""


class ClipError(LivemoveError):
    """A source that cannot become a clip; the message says why, without its name."""


@dataclass(frozen=True)
class Settings:
    """What is the same for all clips of a corpus. pose "full" or "lite"; pose_model: its file, None: from the cache;
    pose_runtime: as in CaptureConfig.

    person: share of a video's frames in which somebody must be in view. mirrored: videos show left and right exchanged.
    """

    sample_rate: int = 48000
    pose: str = "full"
    pose_model: Path | None = None
    person: float = 0.5
    mirrored: bool = False
    pose_runtime: str = "auto"


def prepare_item(source: Item, root: Path, settings: Settings) -> tuple[Clip, ...]:
    """Write the clips of a source into the corpus at root: one, or of something longer than PART_S one after the other.

    Their rows, the one of the source's own name last: it says that all are there. Raises OutputError if they cannot be
    written.
    """
    row = Clip(source.split, source.style, source.name, source.path)
    rows: list[Clip] = []

    def part(start_s: float) -> Clip:
        name = source.name if not rows else f"{source.name}{PART_MARK}{len(rows) + 1}"
        return dataclasses.replace(row, name=name, start_s=start_s)

    try:
        if source.kind == "procedural":
            made = _make_sound(dataclasses.replace(row, source=f"seed {source.seed}"), source, settings)
            return (_write(root, settings, *made),)
        status = Path(source.path).stat()
        row = dataclasses.replace(row, source_bytes=status.st_size, source_mtime_ns=status.st_mtime_ns)
        for found in (_watch if source.kind == "film" else _hear)(Path(source.path), settings):
            try:
                _check_loud(found.audio, settings.sample_rate)
                described = dataclasses.replace(part(found.start_s), **found.about)
                rows.append(_write(root, settings, described, found.audio, found.arrays))
            except ClipError as error:
                rows.append(dataclasses.replace(part(found.start_s), skipped=str(error)))
        if not rows:
            raise ClipError("it has no sound")
    except (ClipError, MediaError) as error:
        rows.append(dataclasses.replace(part(0.0), skipped=str(error)))
    except video_file.CameraError as error:
        rows.append(dataclasses.replace(part(0.0), skipped=str(error).removeprefix(f"{source.path}: ")))
    except FileNotFoundError:
        rows.append(dataclasses.replace(part(0.0), skipped="the file is gone"))
    return (*rows[1:], rows[0])


# --- kinds of sources ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A stretch of a source, from start_s on: whole hops of sound, arrays, and what its row says."""

    start_s: float
    audio: Float32
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict[str, np.ndarray])
    about: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])


class _Sound:
    """The sound of a file, taken piece by piece."""

    def __init__(self, path: Path, rate: int) -> None:
        choice = sound_file.choose(path)
        if not choice.heard:
            raise ClipError("the sound is silence")
        self.note = choice.note
        self.end = sound_file.SoundEnd()
        self._blocks = sound_file.mono_blocks(path, rate, choice, self.end)
        self._rest = np.zeros(0, np.float32)

    def take(self, samples: int) -> Float32:
        """The next samples, fewer at the end. Raises MediaError where the file does."""
        parts = [self._rest]
        while sum(map(len, parts)) < samples and (block := next(self._blocks, None)) is not None:
            parts.append(block)
        joined = np.concatenate(parts)
        self._rest = joined[samples:].copy()
        return joined[:samples]


def _watch(path: Path, settings: Settings) -> Iterator[_Part]:
    """A video: body features and sound descriptors, each part on the clock of its first frame."""
    about = video_file.probe(path)
    sound = _Sound(path, settings.sample_rate)  # first: it tells soonest that a video is of no use
    poses: list[PoseFrame] = []
    start_s = end_s = 0.0

    def part() -> _Part:
        count = round(end_s * settings.sample_rate) - round(start_s * settings.sample_rate)
        audio = sound.take(count)
        hops = len(audio) // HOP
        person = float(np.mean([pose.people > 0 for pose in poses]))
        if person < settings.person:
            raise ClipError(f"somebody is in view in {100 * person:.0f} % of the frames only")
        arrays = {"features": features_at_hops(poses, hops, settings.sample_rate), **packed(poses)}
        row = {"frames": len(poses), "fps": about.fps, "person": person, "note": sound.note}
        return _Part(start_s, audio[: hops * HOP], arrays, row)

    # A new landmarker: nothing of the clip before is left.
    with Landmarker(settings.pose, settings.pose_model, runtime=settings.pose_runtime) as landmarker:
        for time_s, image in video_file.frames(path):
            if poses and time_s - start_s >= PART_S:
                end_s = time_s
                yield part()
                poses, start_s = [], time_s
            pose = landmarker.find(video_file.facing(image, settings.mirrored), time_s)
            pose.capture_s -= start_s
            poses.append(pose)
            end_s = time_s + 1 / about.fps
    promised_s = video_file.promised_s(path)
    if promised_s - end_s > max(1.0, 0.1 * promised_s):
        raise ClipError(f"the image breaks off after {end_s:.1f} of {promised_s:.1f} s")
    yield part()


def _hear(path: Path, settings: Settings) -> Iterator[_Part]:
    """A sound file."""
    sound = _Sound(path, settings.sample_rate)
    longest = round(PART_S * settings.sample_rate) // HOP * HOP
    done, waiting = 0, sound.take(longest)
    while len(waiting):
        following = sound.take(longest)
        if not len(following):  # the last: nothing is written of what breaks off soon
            _check_whole(sound.end)
            waiting = waiting[: len(waiting) // HOP * HOP]
        yield _Part(done / settings.sample_rate, waiting, about={"note": sound.note})
        done, waiting = done + len(waiting), following if len(following) >= HOP else following[:0]


def _check_whole(end: sound_file.SoundEnd) -> None:
    """Raises ClipError for a sound that ends long before the file says so."""
    if end.promised_s - end.seconds > max(1.0, 0.1 * end.promised_s):
        raise ClipError(f"the sound breaks off after {end.seconds:.1f} of {end.promised_s:.1f} s")


def _make_sound(row: Clip, source: Item, settings: Settings) -> tuple[Clip, Float32, dict[str, np.ndarray]]:
    """Procedural sound, with the controls it was made from instead of what can be heard of them."""
    if settings.sample_rate != procedural.SAMPLE_RATE:
        raise ClipError(f"procedural sound has {procedural.SAMPLE_RATE} samples per second")
    rng = np.random.default_rng((procedural.HELD_OUT_SEED if source.split == "valid" else 0, source.seed))
    controls = procedural.controls(rng, round(source.seconds * settings.sample_rate / HOP))
    return row, procedural.tone(controls, rng.random()), {"controls": controls}


def _check_loud(audio: Float32, rate: int) -> None:
    if len(audio) < HOP:
        raise ClipError("the sound is shorter than a hop")
    if level_dbfs(audio, rate) < SILENT_DBFS:
        raise ClipError("the sound is silence")


def level_dbfs(audio: Float32, rate: int) -> float:
    """Of the loudest hop, without what a constant adds to it; -120 at least."""
    hops = descriptors.without_dc(audio, rate)[: len(audio) // HOP * HOP].reshape(-1, HOP)
    return 20 * math.log10(max(float(np.sqrt((hops.astype(np.float64) ** 2).mean(1)).max(initial=0.0)), 1e-6))


def _write(root: Path, settings: Settings, row: Clip, audio: Float32, arrays: dict[str, np.ndarray]) -> Clip:
    """Finish the row, write the files. Sound beyond -1..1, as lossy codecs give it, is made quieter as a whole."""
    hops = len(audio) // HOP
    gain = 1.0 / max(float(np.abs(audio).max(initial=0.0)), 1.0)
    audio = (audio * np.float32(gain)).astype(np.float32)
    if "controls" not in arrays:
        described, phase = described_with_phase(audio, settings.sample_rate)
        arrays = {"descriptors": described, "phase": phase, **arrays}
    tracks = tuple(name for name in TRACK_CHANNELS if name in arrays)
    for name in tracks:
        if len(arrays[name]) != hops or not np.isfinite(arrays[name]).all():
            raise ClipError(f"its {name} are not all numbers")
    voiced = arrays["descriptors"][:, 1] > 0 if "descriptors" in arrays else arrays["controls"][:, 1] > 0
    rms = float(np.sqrt((audio.astype(np.float64) ** 2).mean()))
    row = dataclasses.replace(
        row,
        tracks=tracks,
        hops=hops,
        seconds=hops * HOP / settings.sample_rate,
        voiced=float(voiced.mean()),
        level_dbfs=20 * math.log10(max(rms, 1e-6)),
        gain=gain,
    )
    write_clip(root, row, audio, settings.sample_rate, arrays)
    return row


def described_with_phase(audio: Float32, rate: int) -> tuple[Float32, Float32]:
    """(descriptors float32 [hops, 5], running phase float32 [hops] in cycles at each hop's start).

    The pitch is the phase's derivative, so that an engine that integrates it retraces the recorded phase.
    """
    tracked = descriptors.track_pitch(audio, rate)
    described = descriptors.describe(audio, rate, tracked)
    running = recover(audio, rate, tracked[0])
    low, high = descriptors.CHANNELS[0].minimum, descriptors.CHANNELS[0].maximum
    described[:, 0] = np.clip(running.note, low, high)
    return described, running.at_hops


# --- the body -----------------------------------------------------------------------------------------------


def features_at_hops(
    poses: Sequence[PoseFrame], hops: int, rate: int, arrival_s: Sequence[float] | Float64 | None = None
) -> Float32:
    """float32 [hops, F]: what the stage would make of these poses, each hop from the frames on screen until it begins.

    arrival_s: when each pose could be used, in their order; at once if not given.
    """
    stream, hop_s = FeatureStream(), HOP / rate
    came_s = [pose.capture_s for pose in poses] if arrival_s is None else arrival_s
    out = np.empty((hops, len(FEATURES)), np.float32)
    newest = 0
    for hop in range(hops):
        while newest < len(poses) and came_s[newest] <= (hop + 1e-6) * hop_s:
            stream.update(poses[newest], (hop + 0.5) * hop_s)
            newest += 1
        out[hop] = stream.at((hop + 0.5) * hop_s)  # channels are constant in a hop: its middle
    return out


# --- the sound ----------------------------------------------------------------------------------------------


def read_sound(path: Path, rate: int) -> Float32:
    """Mono sound float32 [samples] of a video or a sound file at rate; sample 0 belongs to the video's first frame.

    Gaps in a file's times are filled with silence. All of it at once: for what is short. Raises ClipError.
    """
    try:
        end = sound_file.SoundEnd()
        audio = np.concatenate([*sound_file.mono_blocks(path, rate, end=end)])
    except MediaError as error:
        raise ClipError(str(error)) from error
    _check_whole(end)
    return audio
