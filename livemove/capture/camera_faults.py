"""What is wrong with a camera, by a name and in one line: absent, lost, stalled, frozen, black, covered, corrupt, slow.

In: the images that are used and when, and the feed's own counts. Out: the fault there is now. A fault that lasts is
named, one that is over is taken back at once. Knows no process; what is done about it is the feed's business.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np

from livemove.capture.poses import Image

LASTS_S = 0.8
"""A dark or even image for so long is a fault; a cut in a video or a hand that passes is none."""
STALL_S = 0.7
"""A camera that gave images and gives none for so long has stalled."""
FIRST_S = 3.0
"""A webcam may take so long for its first image."""
SLOW_FPS = 8.0
"""Below it a melody cannot be followed: gestures of an eighth of a second are lost."""
SLOW_S = 2.0
"""Measured over so long."""
BLACK = 0.04
"""Mean luminance 0..1: the noise of a sensor in the dark is below it."""
UNDECODED, CUT_ROWS = (0, 135, 0), 16
"""What FFmpeg leaves of a JPEG that ends early: rows, from the bottom up, of the colour that YUV 0, 0, 0 is. (OpenCV 5
refuses a webcam's as a whole: that camera counts as lost.)"""
CUT_SHARE, CUTS = 0.1, 3
"""Such a share of the images of the last SLOW_S, and so many, are a fault; a single one is none."""
EVEN = 0.10
"""Luminance between the 5th and the 95th percentile: less is no room, but a hand or a cap before the lens."""

WORDS = {
    "absent": "is not there: looked for until it is",
    "lost": "is gone: looked for until it is back",
    "stalled": "gives no image any more",
    "frozen": "gives the same image again and again",
    "black": "sees black: a cap on its lens, or no light",
    "covered": "sees an even surface: something covers its lens",
    "corrupt": "sends what is no image, or images that end early: look at its cable or connection",
    "slow": f"gives less than {SLOW_FPS:.0f} images a second: more light, or a better connection",
}
"""What is said of a fault, after "camera NAME"."""


class FeedCounts(Protocol):
    """What a `cameras.Feed` counts, as far as it is looked at."""

    seen: int
    lost: int
    returned: int
    refused: int
    still: bool
    undecoded: bool


class CameraFaults:
    """The fault of one camera, followed from image to image."""

    def __init__(self, began_s: float) -> None:
        self.fault = ""
        self._began_s = began_s
        self._image_s: float | None = None  # of the last one
        self._seen: deque[tuple[float, int]] = deque()  # when how many images had come: those used may be fewer
        self._looks = ""  # what the last image looks like, since _looks_s
        self._looks_s = 0.0
        self._cuts: deque[tuple[float, bool]] = deque()  # when which image ended early

    def saw(self, image: Image, people: int, seen: int, now_s: float) -> str:
        """An image uint8 RGB [height, width, 3] was used, with so many people in it; seen: images that the camera has
        given so far. The fault there is now, "" for none."""
        looks = "" if people else _looks(image)
        if looks != self._looks or self._image_s is None:
            self._looks, self._looks_s = looks, now_s
        if self._image_s is not None and now_s - self._image_s > STALL_S:
            self._seen.clear()  # how fast it is shows from here on
        self._image_s = now_s
        self._seen.append((now_s, seen))
        while now_s - self._seen[0][0] > SLOW_S:
            self._seen.popleft()
        self._cuts.append((now_s, cut_off(image)))
        while now_s - self._cuts[0][0] > SLOW_S:
            self._cuts.popleft()
        cuts = sum(cut for _, cut in self._cuts)
        span_s, came = now_s - self._seen[0][0], seen - self._seen[0][1]
        if cuts >= max(CUTS, CUT_SHARE * len(self._cuts)):
            self.fault = "corrupt"
        elif looks and now_s - self._looks_s >= LASTS_S:
            self.fault = looks
        elif span_s > 0.75 * SLOW_S and came / span_s < SLOW_FPS:
            self.fault = "slow"
        else:
            self.fault = ""
        return self.fault

    def missed(self, feed: FeedCounts, now_s: float) -> str:
        """No image came from that feed."""
        silent_s = now_s - (self._began_s if self._image_s is None else self._image_s)
        if silent_s <= STALL_S:
            return self.fault
        if feed.undecoded:
            self.fault = "corrupt"
        elif feed.still:
            self.fault = "frozen"
        elif feed.seen > 0:
            self.fault = "lost" if feed.lost > feed.returned else "stalled"
        elif feed.refused or silent_s > FIRST_S:
            self.fault = "absent"
        return self.fault


def cut_off(image: Image) -> bool:
    """Whether uint8 RGB [height, width, 3] ends early: its last rows are undecoded, to the bit, which no lens sees."""
    last = image[-CUT_ROWS:]
    return bool((last == last[-1, -1]).all()) and bool(np.abs(last[-1, -1].astype(int) - UNDECODED).max() <= 2)


def _looks(image: Image) -> str:
    """ "black", "covered" or "": by the luminance (Rec. 601) of every eighth pixel."""
    grey = image[::8, ::8].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255.0
    dark, bright = np.percentile(grey, (5, 95)).tolist()
    if bright - dark > EVEN:
        return ""
    return "black" if float(grey.mean()) < BLACK else "covered"
