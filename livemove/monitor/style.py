"""How the monitor looks: its colours, its grid and its type, each value once.

Everything else in monitor/ takes its looks from here. Knows Qt's colours and fonts, and no data.
"""

from __future__ import annotations

import functools

from PySide6.QtGui import QColor, QFont

from livemove.monitor.telemetry import Tone

# One grid: every distance is a multiple of it. See `zoom`.
GRID = 4
GAP, MARGIN, PADDING, RADIUS = 3 * GRID, 4 * GRID, 4 * GRID, 2 * GRID

# Dark enough for a stage; one accent; amber and red only ever mean "watch this" and "this is wrong".
BASE = QColor("#090b0f")
CARD = QColor("#11151c")
WELL = QColor("#0c0f15")
LINE = QColor("#222a36")
TEXT = QColor("#eef2f6")
SOFT = QColor("#93a0b0")
FAINT = QColor("#8592a4")  # of hints: 4.5 to 1 against every ground it stands on (WCAG 2.1, 1.4.3), and no more
ACCENT = QColor("#4fd8c4")
DANCERS = (ACCENT, QColor("#c79bff"))
AMBER = QColor("#f5b544")
RED = QColor("#ff5a5f")

FAMILIES = ["Inter", "SF Pro Text", "Segoe UI", "Noto Sans", "Ubuntu", "Cantarell", "DejaVu Sans"]

# One scale of type, in logical pixels.
SMALL, BODY, LARGE, HEADING, FIGURE = _TYPE = 11, 13, 16, 20, 28
WIDE = 1.2  # letter spacing of the small capitals that name things


def zoom(factor: float) -> None:
    """Grid and type so many times as large from now on; widgets that are made or painted later have them.

    State of the module, and the only one: a process shows one window, and its zoom is part of how everything looks, as
    the device pixel ratio is. Ask for `style.GRID` when it is needed, never import it by name.
    """
    grid = round(4 * factor)
    names = ("SMALL", "BODY", "LARGE", "HEADING", "FIGURE")
    sizes = {name: round(size * factor) for name, size in zip(names, _TYPE, strict=True)}
    globals().update(GRID=grid, GAP=3 * grid, MARGIN=4 * grid, PADDING=4 * grid, RADIUS=2 * grid, **sizes)


TONES = {Tone.QUIET: SOFT, Tone.FINE: TEXT, Tone.WATCH: AMBER, Tone.WRONG: RED}


@functools.lru_cache
def font(size: int, bold: bool = False, spacing: float = 0.0) -> QFont:
    """Of that many logical pixels; figures of equal width, so that numbers do not dance."""
    made = QFont()
    made.setFamilies(FAMILIES)
    made.setPixelSize(size)
    made.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    made.setFeature(QFont.Tag("tnum"), 1)
    if spacing:
        made.setLetterSpacing(QFont.SpacingType.AbsoluteSpacing, spacing)
    return made


def mix(low: QColor, high: QColor, part: float) -> QColor:
    """Between two colours, 0..1."""

    def between(a: float, b: float) -> float:
        return a + (b - a) * part

    return QColor.fromRgbF(
        between(low.redF(), high.redF()), between(low.greenF(), high.greenF()), between(low.blueF(), high.blueF())
    )
