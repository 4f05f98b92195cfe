"""Figures over seeds."""

from __future__ import annotations

import math

import pytest

from training.metrics import report
from training.metrics.seeds import over_seeds


def test_the_median_stands_with_its_range_and_all_else_is_the_first_seeds() -> None:
    found = over_seeds(
        [
            {"f1": 0.9, "f1_interval": [0.8, 1.0], "limbs": 6, "heard": True, "gone": math.nan, "some": 1.0},
            {"f1": 0.7, "f1_interval": [0.6, 0.8], "limbs": 6, "heard": True, "gone": math.nan, "some": math.nan},
            {"f1": 0.8, "f1_interval": [0.7, 0.9], "limbs": 6, "heard": False, "gone": math.nan, "some": 3.0},
        ]
    )
    assert math.isnan(found.pop("gone"))
    assert found == {
        "f1": 0.8, "f1_range": [0.7, 0.9], "f1_interval": [0.8, 1.0], "limbs": 6, "heard": True,
        "some": 2.0, "some_range": [1.0, 3.0],
    }  # fmt: skip


def test_one_seed_has_no_range() -> None:
    assert over_seeds([{"f1": 0.9}]) == {"f1": 0.9}
    with pytest.raises(ValueError, match="seed"):
        over_seeds([])


def test_a_report_shows_the_range() -> None:
    hits = over_seeds([{"f1": 0.9, "f1_baseline": 1.0}, {"f1": 0.8, "f1_baseline": 1.0}])
    rows = {name: (value, beside) for name, value, beside in report.rows({"ceiling": {}, "hits": hits})}
    assert rows == {"hits: f1": ("0.85 [0.8 .. 0.9]", "1 (baseline)")}
