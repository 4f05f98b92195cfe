"""A folder of single hits like the one that a corpus of percussion is made of.

In: an empty folder. Out: recordings made here, with their manifest. Knows no test.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile as sf

from livemove.body.triggers import HITS
from training.data import percussion

RATE = percussion.RATE
TAKES = 4
"""Recordings of every articulation and dynamic."""


def write_voices(root: Path) -> Path:
    """A folder like the one the corpus is made of: noise bursts that ring, each a little different, after a silence."""
    rows: list[dict[str, str]] = []
    rng = np.random.default_rng(0)

    def write(file: str, articulation: str, dynamic: str, hz: float, level: float) -> None:
        seconds = np.arange(RATE // 2) / RATE
        ring = np.sin(2 * np.pi * hz * (1 + 0.05 * rng.standard_normal()) * seconds) * np.exp(-seconds / 0.02)
        click = rng.standard_normal(len(seconds)) * np.exp(-seconds / 0.01)
        late = np.zeros(round(rng.uniform(0.0, 0.02) * RATE))
        stereo = np.stack([np.concatenate([late, level * (0.3 * ring + 0.7 * click)])] * 2, -1) * (1.0, 0.1)
        (root / file).parent.mkdir(exist_ok=True)
        sf.write(root / file, np.clip(stereo, -1, 1), RATE)
        rows.append({"file": file, "articulation": articulation, "dynamic": dynamic})

    for name, layers in percussion.FAMILIES.items():
        hz = 150.0 + 200.0 * HITS.index(name)
        for layer in layers:
            for articulation in layer.articulations:
                for dynamic, level in (("vl1", 0.1), ("vl2", 0.4)):
                    for i in range(TAKES):
                        write(f"body_percussion/{articulation}_{dynamic}_rr{i}.flac", articulation, dynamic, hz, level)
            for file in layer.files:
                write(f"sonic_pi_percussion/{file}.flac", "drum", "", hz, 0.5)
    with (root / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["file", "articulation", "dynamic"])
        table.writeheader()
        table.writerows(rows)
    return root
