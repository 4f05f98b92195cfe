"""What a mapping gets of the body's events, hop by hop: hits of the landmarks, accents of the features, postures.

In: pose frames as they arrive, features once a hop. Out: values of the inputs "hit:NAME", "accent:NAME" and
"posture.NAME". Envelopes fall by the hop, not by the clock: hops that are made in a rush sound like any others. Knows
no model and no process.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from livemove.body import accents, postures, triggers
from livemove.body.accents import ACCENTS, Accents
from livemove.body.postures import Posture, Recogniser
from livemove.body.triggers import HITS, VARIATION, Hit, Triggers, decayed, variation
from livemove.contracts import Float32, PoseFrame


class EventInputs:
    """hits, accents: float32 [HITS], [ACCENTS], the envelopes in this hop: an event's strength in the first hop and in
    no other, and how it dies away. Good until the next step. count: hops in which something has hit. postures: what
    recognises those that were taught; another one may take its place while it plays. dancer: whose, by their place in
    pose frames."""

    def __init__(self, taught: Sequence[Posture] = (), dancer: int = 0) -> None:
        self.triggers = Triggers(dancer=dancer)
        self.postures = Recogniser(taught)
        self.hits = np.zeros(len(HITS), np.float32)
        self.count = 0
        self._accents = Accents()
        self._due = np.zeros(len(HITS), np.float32)

    @property
    def accents(self) -> Float32:
        return self._accents.value

    def update(self, frame: PoseFrame, jump: float) -> tuple[Hit, ...]:
        """Take a new frame, as `Triggers.update`; what it shows sounds from the next hop on."""
        self.postures.update(frame)
        hits = self.triggers.update(frame, jump)
        for hit in hits:
            self._due[hit.which] = max(self._due[hit.which], hit.strength)
        return hits

    def step(self, features: Float32, hop_s: float) -> None:
        """Once a hop, with the features [FEATURES] of that hop."""
        decayed(self.hits, self._due, hop_s)
        self.count += bool(self._due.any())
        self._due[:] = 0.0
        self._accents.step(features, hop_s)
        self.postures.step(hop_s)

    def silence(self) -> None:
        """End all envelopes: where the body is held, nothing of it strikes. A posture is held with the body."""
        self.hits[:] = 0.0
        self.accents[:] = 0.0

    def put(self, values: np.ndarray, names: tuple[str, ...]) -> None:
        """Fill in the values of those external inputs that are events; names: of all of them, in order."""
        for place, name in enumerate(names):
            kind, _, which = name.partition(":")
            if name == triggers.PREFIX + VARIATION:
                values[place] = variation(self.count)
            elif kind + ":" == triggers.PREFIX:
                values[place] = self.hits[HITS.index(which)]
            elif kind + ":" == accents.PREFIX:
                values[place] = self.accents[ACCENTS.index(which)]
            elif name.startswith(postures.PREFIX):
                values[place] = self.postures.confidence(name.removeprefix(postures.PREFIX))
