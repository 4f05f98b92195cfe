"""What a mapping gets of each dancer: features, hits and accents; of a further one as external inputs that begin with
the dancer's name: "dancer2.right_hand_height", "dancer2.hit:clap". The first one's have no such name.

In: pose frames as they arrive, the time of each hop. Out: values of these inputs. Knows no model and no process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from livemove.body.event_inputs import EventInputs
from livemove.body.features import FEATURES, FeatureSpec, FeatureStream
from livemove.body.postures import Posture
from livemove.contracts import MAX_DANCERS, PoseFrame

NAMES = tuple(f"dancer{number}" for number in range(1, MAX_DANCERS + 1))

_JUMP = FEATURES.index("jump")
_FEATURES = {name: place for place, name in enumerate(FEATURES)}


def of_dancer(name: str, dancer: int) -> str:
    """What an input is called as that dancer's, counted from 0: the first one's have no dancer's name before them."""
    return f"{NAMES[dancer]}.{name}" if dancer else name


def own_name(name: str) -> tuple[int, str]:
    """(dancer, counted from 0; the input's name without it)."""
    before, dot, after = name.partition(".")
    return (NAMES.index(before), after) if dot and before in NAMES else (0, name)


def not_looked_for(names: Sequence[str], dancers: int) -> list[str]:
    """A line if any of these inputs is a dancer's beyond so many."""
    absent = [name for name in names if own_name(name)[0] >= dancers]
    return [f"{absent[0]} plays nothing: one dancer is looked for; --dancers 2 looks for two"] if absent else []


class Dancer:
    """One of the dancers; number: their place in pose frames. features: float32 [FEATURES] of the last hop; events:
    hits and accents, as of the last hop."""

    def __init__(self, number: int, spec: FeatureSpec, taught: Sequence[Posture] = ()) -> None:
        """taught: the postures that are recognised."""
        self._number = number
        self._stream = FeatureStream(spec, number)
        self.events = EventInputs(taught, number)
        self.features = self._stream.at(0.0)
        self._names: tuple[str, ...] = ()
        self._own: tuple[str, ...] = ()
        self._places = self._which = np.zeros(0, np.intp)

    def look_ahead(self, seconds: float) -> None:
        """How far the body is predicted from now on, at most."""
        if seconds != self._stream.spec.look_ahead_s:
            self._stream.spec = replace(self._stream.spec, look_ahead_s=seconds)

    def update(self, frame: PoseFrame, heard_s: float | None = None) -> None:
        """Take a new frame; heard_s: as `FeatureStream.update` has it."""
        self.events.update(frame, float(self._stream.update(frame, heard_s)[_JUMP]))

    def step(self, now_s: float, hop_s: float) -> None:
        """Once a hop, which is heard at now_s."""
        self.features = self._stream.at(now_s)
        self.events.step(self.features, hop_s)

    def silence(self) -> None:
        """As `EventInputs.silence`."""
        self.events.silence()

    def put(self, values: np.ndarray, names: tuple[str, ...]) -> None:
        """Fill in the values of those external inputs that are this dancer's; names: of all of them, in order."""
        if names != self._names:
            self._names = names
            own = [name if dancer == self._number else "" for dancer, name in map(own_name, names)]
            self._places = np.array([place for place, name in enumerate(own) if name in _FEATURES], np.intp)
            self._which = np.array([_FEATURES[name] for name in own if name in _FEATURES], np.intp)
            self._own = tuple(own)
        values[self._places] = self.features[self._which]
        self.events.put(values, self._own)
