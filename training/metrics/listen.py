"""To hear for oneself: examples of a model beside the recordings and a control, as a page with players.

In: a pitched model's players, ranges and held-out notes (training/metrics/examples.py has what other models play), the
figures. Out: DIR/index.html with every sound and spectrogram inside, and the sounds beside it as WAV; or the block of
figures and the spectrogram that MODEL.md shows.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from matplotlib.figure import Figure

from livemove.contracts import HOP, Float32, ModelSpec, OutputError
from training.metrics import report
from training.metrics.control_tracks import Composer, Ranges, Track
from training.metrics.held_out import Note
from training.metrics.playing import Player

EXAMPLE_S = 10.0
PAUSE_S = 0.25
NOTES = 6
"""So many examples of held-out notes, of each style."""


@dataclass(frozen=True)
class Example:
    """Sounds of one thing by who made them ("recording", "model", "baseline"), all of one length."""

    title: str
    name: str
    sounds: Mapping[str, Float32]


def examples(
    players: Mapping[str, Player], spec: ModelSpec, ranges: Mapping[str, Ranges], notes: Sequence[Note],
    kinds: Sequence[str] = (),
) -> list[Example]:  # fmt: skip
    """Held-out notes first, then one example of each kind of control track (of these), by style; 10 s each at most."""
    found: list[Example] = []
    for index, style in enumerate(spec.styles or ("",)):
        of_style = [note for note in notes if note.style == index][:NOTES]
        for note in of_style:
            sounds = {"recording": note.audio}
            sounds |= {name: p.sound(note.channels, index, 1, note.phase) for name, p in players.items()}
            found.append(Example(f"{style} held-out note {note.name}".strip(), f"{style}note-{note.name}", sounds))
        composer = Composer(spec, ranges[style])
        for kind, tracks in _kinds(composer).items():
            if kinds and kind not in kinds:
                continue
            channels = _joined(composer, tracks)
            sounds = {name: player.sound(channels, index, 1) for name, player in players.items()}
            found.append(Example(f"{style} {kind}".strip(), f"{style}{kind}", sounds))
    return found


def _kinds(composer: Composer) -> dict[str, list[Track]]:
    rng = np.random.default_rng((2**31, 9))
    return {
        "held": composer.held(rng, 5, 1.8),
        "glides": composer.glides(rng, 4),
        "vibrato": composer.vibrati(rng, 4),
        "leaps": composer.leaps(rng, 2),
        "swells": composer.swells(rng, 3),
        "brightenings": composer.brightenings(rng, 3),
        "phrases": composer.phrases(rng, 2),
    }


def _joined(composer: Composer, tracks: Sequence[Track]) -> Float32:
    """One after the other, with pauses, at most EXAMPLE_S."""
    loudness = composer.spec.channel_names.index("loudness")
    parts: list[np.ndarray] = []
    for track in tracks:
        pause = np.repeat(track.channels[-1:], composer.hops(PAUSE_S), 0)
        pause[:, loudness] = 0
        parts += [track.channels, pause]
    return np.ascontiguousarray(np.concatenate(parts)[: composer.hops(EXAMPLE_S)])


def write(folder: Path, figures: dict[str, Any], found: Sequence[Example], rate: int) -> None:
    """The page and its WAVs. Raises OutputError."""
    sections: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for example in found:
            cells: list[str] = []
            for who, sound in example.sounds.items():
                sound = np.clip(sound, -1, 1)
                sf.write(folder / f"{example.name}-{who}.wav", sound, rate)
                flac = io.BytesIO()
                sf.write(flac, sound, rate, format="FLAC", subtype="PCM_16")
                data = base64.b64encode(flac.getvalue()).decode()
                cells.append(
                    f"<figure><figcaption>{who}</figcaption>"
                    f'<audio controls preload=none src="data:audio/flac;base64,{data}"></audio></figure>'
                )
            picture = base64.b64encode(png(spectrograms(example, rate), 80)).decode()
            sections.append(
                f"<h2>{html.escape(example.title)}</h2><div class=row>{''.join(cells)}</div>"
                f'<p><img src="data:image/png;base64,{picture}"></p>'
            )
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td><td>{html.escape(beside)}</td></tr>"
            for name, value, beside in report.rows(figures)
        )
        against = "".join(f"<p class=warn>{html.escape(line)}</p>" for line in report.warnings(figures))
        title = html.escape(f"{figures['model']} on {figures['engine']}, temperature {figures['temperature']:g}")
        style = report.STYLE + ".row { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0 }"
        (folder / "index.html").write_text(
            f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{style}</style><h1>{title}</h1>{against}"
            f"{''.join(sections)}<h2>Figures</h2><table><tr><th>figure</th><th>model</th><th>beside it</th></tr>{rows}"
            "</table>",
            encoding="utf-8",
        )
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error


def write_card(folder: Path, figures: dict[str, Any], found: Sequence[Example], rate: int) -> None:
    """figures.md and spectrogram.png, as training/export.py puts them into a bundle. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "figures.md").write_text(report.markdown(figures) + "\n", encoding="utf-8")
        (folder / "spectrogram.png").write_bytes(card_picture(found, rate))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error


def card_picture(found: Sequence[Example], rate: int) -> bytes:
    """PNG of the first example, a recording's spectrogram beside the model's where there is one."""
    return png(spectrograms(found[0], rate), 80)


def spectrograms(example: Example, rate: int) -> Figure:
    """Side by side, on one scale of 100 dB."""
    figure = Figure((4.5 * len(example.sounds), 3.2), layout="constrained")
    for axes, (who, sound) in zip(
        np.atleast_1d(figure.subplots(1, len(example.sounds), sharey=True)), example.sounds.items(), strict=True
    ):
        dither = 1e-7 * np.random.default_rng(0).standard_normal(len(sound))  # digital silence has no logarithm
        axes.specgram(sound + dither, NFFT=2048, Fs=rate, noverlap=2048 - 2 * HOP, vmin=-140, vmax=-40)
        axes.set(title=who, xlabel="seconds", ylim=(0, 12000))
    figure.axes[0].set_ylabel("Hz")
    return figure


def png(figure: Figure, dpi: int) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi)
    return data.getvalue()
