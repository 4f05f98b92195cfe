"""MediaPipe's smoothing of the landmarks of one body, which its pose landmarker applies to video.

In: landmarks and when they were seen. Out: landmarks, smoothed. numpy only. Not the filter of body/, which works on
what comes out here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from livemove.contracts import LANDMARKS, Float32

Float64 = npt.NDArray[np.float64]

SPEED_CUTOFF_HZ = 1.0
"""Cut-off of the speed that the other cut-off follows."""

VISIBILITY_SHARE = 0.1
"""How much of a new visibility enters the smoothed one."""


@dataclass(frozen=True)
class SmoothingSpec:
    """cutoff_hz: of a landmark at rest; per_speed: Hz more for each unit of speed (see OneEuro)."""

    cutoff_hz: float
    per_speed: float


IN_IMAGE = SmoothingSpec(0.05, 80.0)
"""Speed in edges of the region per second."""
IN_METRES = SmoothingSpec(0.1, 40.0)
"""Speed in metres per second."""


@dataclass
class OneEuro:
    """A low-pass whose cut-off rises with the speed (Casiez et al. 2012), for points [33, 3] at once."""

    spec: SmoothingSpec
    seen_s: float | None = None
    last: Float64 = field(default_factory=lambda: np.zeros((LANDMARKS, 3)))
    smoothed: Float64 = field(default_factory=lambda: np.zeros((LANDMARKS, 3)))
    speed: Float64 = field(default_factory=lambda: np.zeros((LANDMARKS, 3)))

    def reset(self) -> None:
        self.seen_s = None

    def __call__(self, points: Float32, scale: float, capture_s: float) -> Float64:
        """points [33, 3] at capture_s; scale: one unit of the speed, in units of points. What comes out is a view."""
        elapsed_s = 0.0 if self.seen_s is None else capture_s - self.seen_s
        if self.seen_s is None:
            self.last[:], self.smoothed[:], self.speed[:] = points, points, 0.0
        if elapsed_s > 0.0:
            self.speed += _share(SPEED_CUTOFF_HZ, elapsed_s) * ((points - self.last) / (scale * elapsed_s) - self.speed)
            cutoff_hz = self.spec.cutoff_hz + self.spec.per_speed * np.abs(self.speed)
            self.smoothed += _share(cutoff_hz, elapsed_s) * (points - self.smoothed)
            self.last[:] = points
        self.seen_s = capture_s
        return self.smoothed


def _share(cutoff_hz: Any, elapsed_s: float) -> Any:
    """How much of a new value enters a first-order low-pass with this cut-off."""
    return 1.0 / (1.0 + 1.0 / (2.0 * math.pi * elapsed_s * cutoff_hz))


@dataclass
class BodySmoothing:
    """The state of one body: landmarks in the image, in metres, visibility."""

    image: OneEuro = field(default_factory=lambda: OneEuro(IN_IMAGE))
    metres: OneEuro = field(default_factory=lambda: OneEuro(IN_METRES))
    visibility: Float64 | None = None

    def lost(self) -> None:
        """Nobody was seen. MediaPipe forgets what it knew of the image alone: metres and visibility glide from the last
        that were seen, however long ago.
        """
        self.image.reset()

    def __call__(
        self, image: Float32, metres: Float32, visibility: Float32, edge: float, capture_s: float
    ) -> tuple[Float64, Float64, Float64]:
        """Smoothed image [33, 3] in pixels, metres [33, 3], visibility [33]; views that the next call overwrites.

        edge: of the region in which the body will be looked for next, in pixels.
        """
        if self.visibility is None:
            self.visibility = visibility.astype(np.float64)
        self.visibility += VISIBILITY_SHARE * (visibility - self.visibility)
        return self.image(image, edge, capture_s), self.metres(metres, 1.0, capture_s), self.visibility
