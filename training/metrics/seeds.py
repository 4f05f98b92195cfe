"""Figures of several seeds as one: the median, and between which values they lay.

In: a dict of figures of each seed. Out: one dict. Knows no model and no measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def over_seeds(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median of each number, and as NAME_range [lowest, highest] where they differ; of all else the first seed's.

    Raises ValueError without a seed.
    """
    if not found:
        raise ValueError("no seed")
    result: dict[str, Any] = dict(found[0])
    for name, first in found[0].items():
        if isinstance(first, bool) or not isinstance(first, (int, float)):
            continue
        values = np.array([figures[name] for figures in found], np.float64)
        known = values[~np.isnan(values)]
        if len(known) and known.min() < known.max():
            result[name] = float(np.median(known))
            result[f"{name}_range"] = [float(known.min()), float(known.max())]
    return result
