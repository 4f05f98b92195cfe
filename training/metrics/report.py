"""An evaluation to look at: one HTML file with every figure and its plots inside, nothing to load from elsewhere.

In: the figures as `evaluate.py --json` prints them, and what was heard. Out: a file.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure

from livemove.contracts import HOP, Float32
from training.metrics import pitched

IGNORES = "it expects held-out sound no better by its own channels than by another window's"
SHOWN = 3
"""So many control tracks are drawn."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .2rem 1rem .2rem 0; text-align: left }
td + td { font-variant-numeric: tabular-nums } img { max-width: 100% } .warn { color: #a33 }
"""


class Heard(Protocol):
    """A control track, the model's sound, its sound source's (training.evaluate.Heard)."""

    @property
    def track(self) -> Float32: ...

    @property
    def sound(self) -> Float32: ...

    @property
    def original(self) -> Float32: ...


def rows(figures: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(name, model, what stands beside it: ceiling, baseline or control) of every single figure, as text."""
    for name, value in figures.items():
        if isinstance(value, float):
            ceiling = figures["ceiling"].get(name)
            yield name, f"{value:.3g}", "" if ceiling is None else f"{ceiling:.3g}"
    yield from _pitched(figures)
    data, clip = figures.get("data", {}), figures.get("clip", {})
    yield from _beside("data", {**data, **data.get("dance", {})})
    for part, found in figures.get("dance", {}).items():
        if isinstance(found, dict):
            yield from _beside(f"dance {part}", found)
    yield from _beside("hits", figures.get("hits", {}))
    yield from _beside(
        "clip", {**clip, **{f"{name}_shuffled": value for name, value in clip.get("shuffled", {}).items()}}
    )


def _pitched(figures: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Figures of a pitched model with their range over the seeds; those of other players beside them."""
    for style, players in figures.get("pitched", {}).get("styles", {}).items():
        yield from _against(f"{style}: " if style else "played: ", players)
    notes = figures.get("notes")
    if notes:
        recordings = {"recordings": {name: [value] * 3 for name, value in notes["recordings"].items()}}
        players = {name: value for name, value in notes.items() if isinstance(value, dict) and name != "recordings"}
        yield from _against("held-out notes: ", {**players, **recordings})
        if "baseline_minus_model_db" in notes:
            mean, low, high = notes["baseline_minus_model_db"]
            yield (
                "held-out notes: baseline's log-mel distance less the model's, dB",
                f"{mean:.3g}",
                (f"95 % [{low:.3g} .. {high:.3g}] over {notes['notes']} notes"),
            )
    styles = figures.get("styles", {})
    if "told_apart" in styles:
        told = styles["told_apart"]
        ceiling = told.get("recordings")
        beside = f"{ceiling:.3g} (recordings); " if ceiling is not None else ""
        yield "styles told apart", f"{told['accuracy']:.3g}", f"{beside}classifier trained on {told['trained_on']}"
    if "blend" in styles:
        yield "style blend, monotone steps", f"{styles['blend']['monotone']:.3g}", ""


def _against(where: str, players: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, spread in players["model"].items():
        others = [f"{text(row[name])} ({who})" for who, row in players.items() if who != "model" and name in row]
        yield where + name, text(spread), ", ".join(others)


def text(spread: Sequence[float]) -> str:
    """Median and, where the seeds differ, lowest and highest."""
    median, low, high = (f"{value:.3g}" for value in spread)
    return median if low == high else f"{median} [{low} .. {high}]"


def markdown(figures: dict[str, Any]) -> str:
    """Table of an evaluation for MODEL.md, with what stands beside each figure, and what speaks against the model."""
    lines = [f"| figure | model | {'ceiling' if figures['ceiling'] else 'beside it'} |", "|---|---|---|"]
    for name, value, beside in rows(figures):
        if name not in ("temperature", "seconds"):
            lines.append(f"| {name} | {value} | {beside} |")
    return "\n\n".join(["\n".join(lines), *warnings(figures)])


def _beside(where: str, found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Single figures of one part, with their interval (bootstrapped) and range (over seeds); NAME_shuffled, _baseline,
    _recordings and _ceiling beside NAME."""
    for name, value in found.items():
        stem, _, suffix = name.rpartition("_")
        shown_beside = suffix in ("shuffled", "baseline", "recordings", "ceiling") and stem in found
        if not isinstance(value, (bool, int, float)) or shown_beside:
            continue
        text = str(value) if isinstance(value, (bool, int)) else f"{value:.3g}"
        if f"{name}_interval" in found:
            low, high = found[f"{name}_interval"]
            text += f" [{low:.3g}, {high:.3g}]"
        if f"{name}_range" in found:
            low, high = found[f"{name}_range"]
            text += f" [{low:.3g} .. {high:.3g}]"
        names = {
            "baseline": "baseline",
            "another's movement": "shuffled",
            "recordings": "recordings",
            "ceiling": "ceiling",
        }
        others = {label: found.get(f"{name}_{end}") for label, end in names.items()}
        yield f"{where}: {name}", text, ", ".join(f"{v:.3g} ({k})" for k, v in others.items() if v is not None)


def warnings(figures: dict[str, Any]) -> list[str]:
    """What the controls say against the model."""
    lines: list[str] = []
    if figures.get("data", {}).get("ignores_channels"):
        lines.append(f"It ignores its channels: {IGNORES}.")
    if figures.get("dance", {}).get("ignores_dancer"):
        lines.append("With its own dancer it is not surely better than with another: it does not hear who dances.")
    if figures.get("clip", {}).get("ignores_dancer"):
        lines.append("The sound meets this dancer's beats no better than another dance's sound does.")
    return lines


def write(path: Path, figures: dict[str, Any], heard: Sequence[Heard], rate: int) -> None:
    """Raises OSError."""
    table = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{value}</td><td>{html.escape(beside)}</td></tr>"
        for name, value, beside in rows(figures)
    )
    against = "".join(f"<p class=warn>{html.escape(line)}</p>" for line in warnings(figures))
    parts = [(figures, "control tracks"), (figures.get("data", {}), "held-out sound")]
    plots = [_bands(part, title) for part, title in parts if "nll_bits_by_band" in part]
    plots += [_track(h, rate) for h in heard[:SHOWN]]
    images = "".join(f'<p><img src="data:image/png;base64,{_png(plot)}"></p>' for plot in plots)
    title = html.escape(f"{figures['model']} on {figures['engine']}, temperature {figures['temperature']:g}")
    path.write_text(
        f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
        f"<table><tr><th>figure</th><th>model</th><th>beside it</th></tr>{table}</table>{against}{images}",
        encoding="utf-8",
    )


def _png(figure: Figure) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return base64.b64encode(data.getvalue()).decode()


def _bands(figures: dict[str, Any], title: str) -> Figure:
    """Bits per value, by band."""
    figure = Figure((9, 2.6), layout="constrained")
    axes = figure.subplots()
    at = np.arange(len(figures["nll_bits_by_band"]))
    axes.bar(at - 0.2, figures["nll_bits_by_band"], 0.4, label="model")
    axes.bar(at + 0.2, figures["nll_bits_by_band_baseline"], 0.4, label="baseline")
    axes.set(xlabel="band", ylabel="bits a value", title=f"negative log likelihood of {title} (lower is better)")
    axes.legend()
    return figure


def _track(heard: Heard, rate: int) -> Figure:
    """What was asked for and what sounded: pitch, loudness, spectrograms of model and source."""
    hops = len(heard.track)
    times = np.arange(hops) * HOP / rate
    figure = Figure((9, 7), layout="constrained")
    pitch, level, model, source = figure.subplots(4, 1, sharex=True)
    voiced = pitched.voiced(heard.track)
    found = np.where(voiced, pitched.track_pitch(heard.sound, rate, 0, hops), np.nan)
    pitch.plot(times, heard.track[:, 0], label="asked")
    pitch.plot(times, found, ".", ms=2, label="sounded")
    pitch.set(ylabel="MIDI note")
    pitch.legend(loc="upper right")
    for sound, label in ((heard.original, "source"), (heard.sound, "model")):
        level.plot(times, 20 * np.log10(pitched.level(sound, 0, hops) + 1e-4), label=label)
    level.set(ylabel="dBFS")
    level.legend(loc="upper right")
    dither = 1e-8 * np.random.default_rng(0).standard_normal(hops * HOP)  # digital silence has no logarithm
    for axes, sound, label in ((model, heard.sound, "model"), (source, heard.original, "source")):
        axes.specgram(sound + dither, NFFT=1024, Fs=rate, noverlap=768, vmin=-140, vmax=-40)
        axes.set(ylabel=f"{label}, Hz", ylim=(0, 16000))
    source.set(xlabel="seconds")
    return figure
