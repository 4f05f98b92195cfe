"""One clip of a corpus at a glance: frames with the skeleton MediaPipe saw, features, descriptors, spectrogram.

In: a corpus and one of its clips. Out: a PNG.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import signal

from livemove.body.landmarks import BONES, FACE_LINES
from livemove.contracts import HOP, OutputError, PoseFrame
from livemove.media import video_file
from training.data.corpus import Clip, Corpus

IMAGES = 6


def draw_clip(corpus: Corpus, clip: Clip, path: Path) -> None:
    """Write a PNG of the clip to path. Raises CorpusError, CameraError, OutputError."""
    names = [c.name for track in clip.tracks for c in corpus.tracks[track]]
    window = corpus.read(clip, names)
    figure = Figure(figsize=(14, 12 if clip.frames else 7), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{clip.key}   {clip.seconds:.1f} s, {corpus.sample_rate} Hz, {clip.level_dbfs:.0f} dBFS")
    heights = [3, 5, 3, 3] if clip.frames else [3, 3]
    rows = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    if clip.frames:
        strip = rows[0].subgridspec(1, IMAGES)
        _frames(corpus, clip, [figure.add_subplot(strip[0, i]) for i in range(IMAGES)])
        _features(corpus, window.channels, names, figure.add_subplot(rows[1]), clip)
    _curves(corpus, window.channels, names, figure.add_subplot(rows[-2]), clip)
    _spectrogram(window.audio, corpus.sample_rate, figure.add_subplot(rows[-1]), window.channels, names)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=80)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _frames(corpus: Corpus, clip: Clip, axes: list[Axes]) -> None:
    """Evenly spaced frames of the video, with the skeleton."""
    poses = corpus.poses(clip)
    chosen = np.linspace(0, len(poses) - 1, IMAGES).round().astype(int)
    wanted = {_ms(clip.start_s + poses[i].capture_s): (poses[i], ax) for i, ax in zip(chosen, axes, strict=True)}
    for time_s, image in video_file.some_frames(Path(clip.source), lambda t: _ms(t) in wanted):
        if image is not None:
            pose, ax = wanted[_ms(time_s)]
            ax.imshow(image)
            _skeleton(pose, ax, image.shape[1], image.shape[0])
            ax.set_title(f"{time_s:.2f} s", fontsize=9)
    for ax in axes:
        ax.set_axis_off()


def _ms(time_s: float) -> int:
    return round(1e3 * time_s)


def _skeleton(pose: PoseFrame, ax: Axes, width: int, height: int) -> None:
    if not pose.people:
        return
    x, y = pose.image[0, :, 0] * width, pose.image[0, :, 1] * height
    for a, b in (*BONES, *FACE_LINES):
        seen = min(pose.visibility[0, a], pose.visibility[0, b]) >= 0.5
        ax.plot(x[[a, b]], y[[a, b]], color="lime" if seen else "gray", linewidth=1.5)


def _features(corpus: Corpus, channels: np.ndarray, names: list[str], ax: Axes, clip: Clip) -> None:
    """All body features as rows of colour, each over its own range."""
    columns = [names.index(c.name) for c in corpus.tracks["features"]]
    low, high = (np.array([getattr(c, end) for c in corpus.tracks["features"]]) for end in ("minimum", "maximum"))
    image = ((channels[:, columns] - low) / (high - low)).T
    ax.imshow(image, aspect="auto", interpolation="nearest", vmin=0, vmax=1, extent=(0, clip.seconds, len(columns), 0))
    ax.set_yticks(np.arange(len(columns)) + 0.5, [names[i] for i in columns], fontsize=6)


def _curves(corpus: Corpus, channels: np.ndarray, names: list[str], ax: Axes, clip: Clip) -> None:
    """Sound descriptors, or the controls of procedural sound, each over its range; pitch where it is heard."""
    time_s = np.arange(len(channels)) * (HOP / corpus.sample_rate)
    track = "controls" if "controls" in clip.tracks else "descriptors"
    for channel in corpus.tracks[track]:
        if channel.name != "pitch":
            ax.plot(time_s, channels[:, names.index(channel.name)] / channel.maximum, linewidth=0.9, label=channel.name)
    ax.set_ylim(0, 1)
    ax.margins(x=0)
    notes = ax.twinx()
    notes.plot(time_s, _sounding(channels, names), "k.", markersize=1.5)
    notes.set_ylabel("pitch (MIDI note)", fontsize=8)
    notes.legend(*ax.get_legend_handles_labels(), loc="upper right", fontsize=7, ncols=4)


def _sounding(channels: np.ndarray, names: list[str]) -> np.ndarray:
    """Pitch [hops], NaN where none is heard."""
    heard = channels[:, names.index("voicing" if "voicing" in names else "loudness")] > 0
    return np.where(heard, channels[:, names.index("pitch")], np.nan)


def _spectrogram(audio: np.ndarray, rate: int, ax: Axes, channels: np.ndarray, names: list[str]) -> None:
    hz, time_s, power = signal.spectrogram(audio, rate, "hann", 2048, 2048 - 512, scaling="spectrum")
    ax.pcolormesh(time_s, hz, 10 * np.log10(power + 1e-10), vmin=-100, vmax=-20, cmap="magma", rasterized=True)
    pitch_hz = 440 * 2 ** ((_sounding(channels, names) - 69) / 12)
    ax.plot(np.arange(len(channels)) * (HOP / rate), pitch_hz, color="cyan", linewidth=0.6)
    ax.set_yscale("symlog", linthresh=500)
    ax.set_ylim(0, rate / 2)
    ax.set_xlim(0, len(audio) / rate)
    ax.set_xlabel("s")
    ax.set_ylabel("Hz")
