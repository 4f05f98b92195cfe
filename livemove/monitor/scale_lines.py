"""Where the notes of the scale lie for the hand that plays the pitch, and what the scale is called.

In: a model's mapping and the controls. Out: heights of that hand, as its feature has them, with note names. Knows no
widget and no image.
"""

from __future__ import annotations

from dataclasses import dataclass

from livemove.body.features import FEATURES
from livemove.body.mapping import Mapping, mapping_for
from livemove.body.notes import NOTES, SCALES, note_name
from livemove.body.routes import PITCH_UNIT, Route, steered
from livemove.body.sources import other_side
from livemove.contracts import Channel, Controls, MappingError
from livemove.monitor.monitor_config import MonitorConfig

HANDS = {"left_hand_height": "left", "right_hand_height": "right"}


@dataclass(frozen=True)
class Note:
    """height: -1 hanging .. 1 straight up, as the feature; tonic: the scale's root."""

    height: float
    name: str
    tonic: bool


class ScaleLines:
    """Of one model; mapping: None where there is none that can be read."""

    def __init__(self, channels: tuple[Channel, ...], mapping: Mapping | None) -> None:
        routes = () if mapping is None else mapping.routes
        self._pitch: tuple[Channel, Route] | None = next(
            ((c, route) for c, route in zip(channels, routes, strict=False) if c.unit == PITCH_UNIT), None
        )

    def hand(self, controls: Controls) -> str:
        """ "left", "right", or "": no hand's height plays the pitch."""
        played = None if self._pitch is None else self._pitch[1].input
        if played is None or played >= len(FEATURES):
            return ""
        name = FEATURES[played]
        return HANDS.get(other_side(name) if controls.swap_hands else name, "")

    def name(self, controls: Controls) -> str:
        """ "blues in A"; "glides": there is no scale; "": no pitch."""
        if self._pitch is None:
            return ""
        route = steered(*self._pitch, controls.octave, controls.scale, controls.root, snap=controls.snap)
        if not route.steps:
            return "glides"
        known = (name.replace("_", " ") for name, steps in SCALES.items() if steps == route.steps)
        return f"{next(known, 'own scale')} in {NOTES[round(route.root) % 12]}"

    def notes(self, controls: Controls) -> list[Note]:
        """From the lowest to the highest; without a scale the notes of C major, to find one's way."""
        if self._pitch is None:
            return []
        channel, _ = self._pitch
        route = steered(*self._pitch, controls.octave, controls.scale, controls.root, snap=controls.snap)
        (first, last), (low, high) = route.to_range, route.from_range
        if first == last:
            return []
        lowest, highest = max(min(first, last), channel.minimum), min(max(first, last), channel.maximum)
        steps = {(round(route.root) + round(step)) % 12 for step in route.steps} or set(SCALES["major"])
        pitches = route.notes or [p for p in range(128) if lowest <= p <= highest and p % 12 in steps]
        tonic = round(route.root) % 12 if route.steps else 0
        found: list[Note] = []
        for pitch in pitches:
            share = (pitch - first) / (last - first)
            height = low + share ** (1.0 / route.curve) * (high - low)
            found.append(Note(height, note_name(pitch)[0], round(pitch) % 12 == tonic))
        return found


def scale_lines(config: MonitorConfig) -> ScaleLines:
    """Of the model that plays."""
    try:
        return ScaleLines(config.spec.channels, mapping_for(config.mapping, config.spec, FEATURES))
    except MappingError:  # synthesis says so
        return ScaleLines(config.spec.channels, None)
