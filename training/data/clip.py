"""From one source to one clip of the corpus: decode, see the body, describe the sound, write. Runs in any process.

In: an Item and Settings. Out: the clip's files and its row; a source that cannot be used gives a row that says why.
The body goes through the landmarker and the FeatureStream that play live. Knows nothing of workers or terminals.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soxr
from av.error import FFmpegError

from livemove.body.features import FEATURES, TABLE, FeatureStream
from livemove.capture.landmarker import Landmarker
from livemove.contracts import HOP, Channel, Float32, Float64, LivemoveError, PoseFrame
from livemove.media import video_file
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
GAP_S = 0.02
"""Sound whose time is off by less follows the sound before it without a gap: containers round their times."""


class ClipError(LivemoveError):
    """A source that cannot become a clip; the message says why, without its name."""


@dataclass(frozen=True)
class Settings:
    """What is the same for all clips of a corpus. pose "full" or "lite"; pose_model: its file, None: from the cache;
    pose_runtime: as in CaptureConfig.

    person: share of a video's frames in which somebody must be in view.
    """

    sample_rate: int = 48000
    pose: str = "full"
    pose_model: Path | None = None
    person: float = 0.5
    pose_runtime: str = "auto"


def prepare_clip(source: Item, root: Path, settings: Settings) -> Clip:
    """Write the clip of a source into the corpus at root. Raises OutputError if it cannot be written."""
    row = Clip(source.split, source.style, source.name, source.path)
    try:
        if source.kind == "procedural":
            return _write(
                root, settings, *_make_sound(dataclasses.replace(row, source=f"seed {source.seed}"), source, settings)
            )
        status = Path(source.path).stat()
        row = dataclasses.replace(row, source_bytes=status.st_size, source_mtime_ns=status.st_mtime_ns)
        found = _watch_video(row, settings) if source.kind == "film" else _hear(row, settings)
        return _write(root, settings, *found)
    except ClipError as error:
        return dataclasses.replace(row, skipped=str(error))
    except video_file.CameraError as error:
        return dataclasses.replace(row, skipped=str(error).removeprefix(f"{source.path}: "))
    except FileNotFoundError:
        return dataclasses.replace(row, skipped="the file is gone")


# --- kinds of sources ---------------------------------------------------------------------------------------


def _watch_video(row: Clip, settings: Settings) -> tuple[Clip, Float32, dict[str, np.ndarray]]:
    """A video: body features and sound descriptors on the clock of its first frame."""
    path = Path(row.source)
    about = video_file.probe(path)
    audio = read_sound(path, settings.sample_rate)  # first: it tells soonest that a video is of no use
    _check_loud(audio)
    # A new landmarker: nothing of the clip before is left.
    with Landmarker(settings.pose, settings.pose_model, runtime=settings.pose_runtime) as landmarker:
        poses = [landmarker.find(image, time_s) for time_s, image in video_file.frames(path)]
    end_s, promised_s = poses[-1].capture_s + 1 / about.fps, _promised_s(path)
    if promised_s - end_s > max(1.0, 0.1 * promised_s):
        raise ClipError(f"the image breaks off after {end_s:.1f} of {promised_s:.1f} s")
    person = float(np.mean([pose.people > 0 for pose in poses]))
    if person < settings.person:
        raise ClipError(f"somebody is in view in {100 * person:.0f} % of the frames only")
    hops = min(len(audio), int(end_s * settings.sample_rate)) // HOP
    arrays = {"features": features_at_hops(poses, hops, settings.sample_rate), **packed(poses)}
    row = dataclasses.replace(row, frames=len(poses), fps=about.fps, person=person)
    return row, audio[: hops * HOP], arrays


def _hear(row: Clip, settings: Settings) -> tuple[Clip, Float32, dict[str, np.ndarray]]:
    """A sound file."""
    audio = read_sound(Path(row.source), settings.sample_rate)
    _check_loud(audio)
    return row, audio[: len(audio) // HOP * HOP], {}


def _make_sound(row: Clip, source: Item, settings: Settings) -> tuple[Clip, Float32, dict[str, np.ndarray]]:
    """Procedural sound, with the controls it was made from instead of what can be heard of them."""
    if settings.sample_rate != procedural.SAMPLE_RATE:
        raise ClipError(f"procedural sound has {procedural.SAMPLE_RATE} samples per second")
    rng = np.random.default_rng((procedural.HELD_OUT_SEED if source.split == "valid" else 0, source.seed))
    controls = procedural.controls(rng, round(source.seconds * settings.sample_rate / HOP))
    return row, procedural.tone(controls, rng.random()), {"controls": controls}


def _check_loud(audio: Float32) -> None:
    hops = audio[: len(audio) // HOP * HOP].reshape(-1, HOP)
    if not len(hops):
        raise ClipError("the sound is shorter than a hop")
    level = 20 * math.log10(max(float(np.sqrt((hops.astype(np.float64) ** 2).mean(1)).max()), 1e-6))
    if level < SILENT_DBFS:
        raise ClipError("the sound is silence")


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
    """float32 [hops, F]: what the stage would make of these poses, each hop from the frame on screen when it begins.

    arrival_s: when each pose could be used, in their order; at once if not given.
    """
    stream, hop_s = FeatureStream(), HOP / rate
    came_s = [pose.capture_s for pose in poses] if arrival_s is None else arrival_s
    out = np.empty((hops, len(FEATURES)), np.float32)
    newest = 0
    for hop in range(hops):
        while newest < len(poses) and came_s[newest] <= (hop + 1e-6) * hop_s:
            stream.update(poses[newest])
            newest += 1
        out[hop] = stream.at(hop * hop_s)
    return out


# --- the sound ----------------------------------------------------------------------------------------------


def read_sound(path: Path, rate: int) -> Float32:
    """Mono sound float32 [samples] of a video or a sound file at rate; sample 0 belongs to the video's first frame.

    Gaps in a file's times are filled with silence. Raises ClipError.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise ClipError("it has no sound")
            origin_s = _first_frame_s(container) if _has_picture(container) else None
        with av.open(str(path)) as container:
            parts, native, damage = _decode(container, origin_s)
            length_s = float(container.duration or 0) / av.time_base
    except FFmpegError as error:
        raise ClipError(f"cannot be read: {error.strerror or error}") from error
    audio = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if damage:
        raise ClipError(f"its sound is damaged after {len(audio) / native:.1f} s: {damage}")
    if not len(audio):
        raise ClipError("it has no sound")
    if origin_s is None and length_s - len(audio) / native > max(1.0, 0.1 * length_s):
        raise ClipError(f"the sound breaks off after {len(audio) / native:.1f} of {length_s:.1f} s")
    if not np.isfinite(audio).all():
        raise ClipError("its sound is not all numbers")
    return soxr.resample(audio, native, rate).astype(np.float32) if native != rate else audio


def _has_picture(container: av.container.InputContainer) -> bool:
    """Covers of albums are no video."""
    return any(not stream.disposition & av.stream.Disposition.attached_pic for stream in container.streams.video)


def _first_frame_s(container: av.container.InputContainer) -> float:
    frame = next(container.decode(container.streams.video[0]), None)
    return frame.time if frame is not None and frame.pts is not None else 0.0


def _promised_s(path: Path) -> float:
    """Seconds of image from the first frame on, by what the file says of itself; 0 if it says nothing."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.duration is None:
            return 0.0
        end_s = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
        return end_s - _first_frame_s(container)


def _decode(container: av.container.InputContainer, origin_s: float | None) -> tuple[list[Float32], int, str]:
    """(mono stretches that follow each other from origin_s on, or from where the sound begins; their rate; damage)."""
    stream = container.streams.audio[0]
    rate = stream.rate
    as_float = av.AudioResampler(format="fltp")
    parts: list[Float32] = []
    done = 0
    frames = container.decode(stream)
    while True:
        try:
            decoded = next(frames, None)
        except FFmpegError as error:
            return parts, rate, error.strerror or str(error)
        if decoded is None:
            return parts, rate, ""
        if decoded.sample_rate != rate:
            raise ClipError(f"the sound changes its rate from {rate} to {decoded.sample_rate}")
        for frame in as_float.resample(decoded):
            mono = frame.to_ndarray().mean(0, dtype=np.float32)
            begin_s = frame.time if frame.pts is not None else None
            if origin_s is None:
                origin_s = begin_s or 0.0
            place = done if begin_s is None else round((begin_s - origin_s) * rate)
            if abs(place - done) < GAP_S * rate and done > 0:
                place = done
            mono = mono[max(done - place, 0) :]
            if len(mono):
                parts += [np.zeros(max(place - done, 0), np.float32), mono]
                done = max(place, done) + len(mono)
