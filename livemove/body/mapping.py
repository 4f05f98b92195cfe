"""mapping.toml: which input plays which channel of a model, over which range, along which curve, in which scale.

Inputs (body features, and by name external inputs: hits of the body, MIDI, OSC and Link) come in once a hop, alone or
several in an expression (sources.py); channels in the model's natural units go out, and the weights of its styles where
the mapping plays them:

    [styles.cello]           a weight from its own input, 0..1 unless `to` says otherwise; one table for each style that
    source = "crouch"        is played; weights need not sum to 1, and while all are 0 the style that is set plays
    from = [0.0, 1.0]

    [styles]                 or an axis from style to style, at equal distances
    between = ["cello", "flute", "tuba"]
    source = "right_hand_height"
    from = [-0.5, 1.0]

    [triggers.NAME]          what fires, and what then: see trigger_tables.py

    [effects]                what plays sends, delay and pan: see effect_routes.py

It knows names and numbers only: not where an input comes from, nor what a model does with a channel.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn, cast

import numpy as np

from livemove import numbers
from livemove.body import accents
from livemove.body.effect_routes import EFFECT_CHANNELS, PLAYED, PlayedEffects, entries_of
from livemove.body.expression_nodes import ExpressionError
from livemove.body.expressions import Expression
from livemove.body.mapped_triggers import Fired, MappedTriggers, Trigger
from livemove.body.notes import SCALES, pitch_class
from livemove.body.routes import PITCH_UNIT, Route, StyleRoutes, scale_notes, steered
from livemove.body.sources import Sources, near
from livemove.body.trigger_tables import TriggerError, read_triggers
from livemove.contracts import MAX_BLEND, Channel, Float32, Float64, MappingError, ModelSpec

CURVES: dict[str, float] = {"linear": 1.0, "square": 2.0, "cube": 3.0, "root": 0.5}
"""Named exponents; any other positive number may stand in their place."""

_ENTRIES = ("source", "from", "to", "curve", "smoothing_s", "scale", "root", "snap")


class Mapping:
    """Inputs to channels, one step a hop. `routes` are in the order of the model's channels.

    external: names of the external inputs (OSC, MIDI, Link, hits of the body), in the order in which their values
    follow the features'. styles: after a step, float32 [styles], what it plays of each; None: it plays none. fired:
    the triggers that fired in the last step. effects: after a step, float32 [PLAYED], what it plays of the effects
    (NaN: not that); None: nothing; played_effects: names of those. notices: lines for the person, each once: what went
    wrong with a source; who shows them takes them out.
    """

    def __init__(
        self,
        channels: tuple[Channel, ...],
        routes: tuple[Route, ...],
        presence: int | None,
        external: tuple[str, ...] = (),
        style_routes: StyleRoutes | None = None,
        triggers: tuple[Trigger, ...] = (),
        effects: tuple[PlayedEffects, tuple[Route, ...]] | None = None,
    ) -> None:
        """presence: index of the input that is 1 with somebody in view and 0 with nobody, if there is one."""
        self.channels = channels
        self.routes = routes
        self.external = external
        self._presence = presence
        self.triggers = MappedTriggers(triggers, presence)
        self.fired: list[Fired] = []
        self._style_routes = style_routes
        self.styles: Float32 | None = None
        self._played = list(zip(channels, routes, strict=True))
        if style_routes is not None:
            self._played += zip(style_routes.channels, style_routes.routes, strict=True)
            self.styles = np.zeros(style_routes.styles, np.float32)
        self._played_effects = None if effects is None else effects[0]
        self.played_effects = () if effects is None else effects[0].names
        self.effects: Float32 | None = None
        if effects is not None:
            self._played += zip((EFFECT_CHANNELS[name] for name in effects[0].names), effects[1], strict=True)
            self.effects = np.full(len(PLAYED), np.nan, np.float32)
        self._rest = np.array([channel.rest for channel, _ in self._played])
        self._told: set[str] = set()
        self._tuned: tuple[float, float | None] = (0.0, None)
        self.notices: list[str] = []
        self._lowest = np.array([channel.minimum for channel, _ in self._played])
        self._highest = np.array([channel.maximum for channel, _ in self._played])
        self._follow(tuple(route for _, route in self._played))
        self.reset()

    def _follow(self, routes: tuple[Route, ...]) -> None:
        self._input = np.array([route.input or 0 for route in routes], np.intp)
        self._computed = [(i, route.expression) for i, route in enumerate(routes) if route.expression is not None]
        self._from = np.array([route.from_range[0] for route in routes])
        self._from_span = np.array([route.from_range[1] - route.from_range[0] for route in routes])
        self._to = np.array([route.to_range[0] for route in routes])
        self._to_span = np.array([route.to_range[1] - route.to_range[0] for route in routes])
        self._curve = np.array([route.curve for route in routes])
        self._smoothing_s = np.maximum([route.smoothing_s for route in routes], 1e-9)
        self._eased = np.array([route.eased and self._presence is not None for route in routes])
        self._in_scale = [(i, np.array(r.notes), r.snap) for i, r in enumerate(routes) if r.notes and r.snap > 0]

    def reset(self) -> None:
        """Every channel at rest, every expression and trigger as before its first hop."""
        self._value = self._rest.copy()
        self.triggers.reset()
        for _, expression in self._computed:
            expression.reset()

    def take_over(self, other: Mapping) -> None:
        """Go on from where another mapping of the same model is."""
        same = (self._style_routes, self._played_effects) == (other._style_routes, other._played_effects)
        shared = len(self._value) if same else len(self.channels)
        self._value[:shared] = other._value[:shared]
        before = {expression.text: expression for _, expression in other._computed}
        for _, expression in self._computed:
            if expression.text in before:
                expression.take_over(before[expression.text])
        self.triggers.take_over(other.triggers)

    def pan(self, otherwise: float) -> float:
        """Where the voice stands, -1 left .. 1 right, as this plays it; otherwise as it is set."""
        played = math.nan if self.effects is None else float(self.effects[PLAYED.index("pan")])
        return played if math.isfinite(played) else otherwise

    def steer(
        self, octave: int = 0, scale: int = 0, root: int = 0, transpose: float = 0.0, note: float | None = None
    ) -> None:
        """Move pitch channels: octaves up, the scale-th of SCALES, root C..B as 1..12; 0: as the file says. transpose:
        semitones up, a scale's notes with it, so that a chord keeps its intervals. note: in place of the range, the
        MIDI number at which the pitch stays.

        An octave moves the whole range: where the gesture asks for more than the model can play, the pitch stays at the
        model's last note, and the rest of the gesture plays what it did (see `pitch_reach`). An octave that would leave
        nothing of it goes only as far as something is left.
        """
        self._tuned = (transpose, note)
        moved = (steered(channel, route, octave, scale, root, transpose, note) for channel, route in self._played)
        self._follow(tuple(moved))

    def pitch_reach(self) -> tuple[int, float, float] | None:
        """(octaves that the pitch is moved by, semitones of its range below what the model can play, above it), as it
        is steered; None: there is no pitch channel."""
        for (channel, route), first, span in zip(self._played, self._to, self._to_span, strict=True):
            if channel.unit == PITCH_UNIT:
                low, high = sorted((float(first), float(first + span)))
                transpose, note = self._tuned
                moved = round((float(first) - transpose - (route.to_range[0] if note is None else note)) / 12)
                return moved, max(channel.minimum - low, 0.0), max(high - channel.maximum, 0.0)
        return None

    def step(self, inputs: Float32, dt_s: float, live: Float32 | None = None, held: bool = False) -> Float32:
        """float32 [C], natural units, after dt_s seconds with these inputs, float32 [F + len(external)].

        An input that is not a finite number leaves its channel where it is. live: the inputs as they are now, where a
        freeze holds `inputs` or lets go of them: triggers look at these; held: notes stand still.
        """
        if self.triggers.triggers:
            self.fired = self.triggers.step((inputs if live is None else live).tolist(), dt_s, held)
            for trigger in self.triggers.triggers:
                if isinstance(trigger.source, Expression) and trigger.source.trouble:
                    self._tell(f"trigger {trigger.name!r}", trigger.source)
        taken = inputs[self._input] if not self._computed else self._with_expressions(inputs, dt_s)
        place = (taken - self._from) / self._from_span
        place = np.minimum(np.maximum(place, 0.0), 1.0) ** self._curve
        goal = np.minimum(np.maximum(self._to + place * self._to_span, self._lowest), self._highest)
        for i, notes, snap in self._in_scale:
            if not math.isfinite(goal[i]):
                continue
            goal[i] = _into_scale(float(goal[i]), notes, snap)
        if self._presence is not None:
            goal = np.where(self._eased, self._rest + float(inputs[self._presence]) * (goal - self._rest), goal)
        goal = np.where(np.isfinite(goal), goal, self._value)
        self._value = self._value + (goal - self._value) * -np.expm1(-dt_s / self._smoothing_s)
        end = len(self._value)
        if self._played_effects is not None and self.effects is not None:
            end -= len(self._played_effects.names)
            self._played_effects.take(self._value[end:], self.effects)
        if self._style_routes is not None and self.styles is not None:
            self._style_routes.weigh(self._value[len(self.channels) : end], self.styles)
        return self._value[: len(self.channels)].astype(np.float32)

    def _with_expressions(self, inputs: Float32, dt_s: float) -> Float64:
        """float64 [routes]: what each is played by, expressions one hop on."""
        values: list[float] = [*inputs.tolist(), *self.triggers.envelopes]
        taken = inputs[self._input].astype(np.float64)
        for i, expression in self._computed:
            taken[i] = expression.step(values, dt_s)
            if expression.trouble:
                self._tell(f"channel {self._played[i][0].name!r}", expression)
        return taken

    def _tell(self, whose: str, expression: Expression) -> None:
        if whose not in self._told:
            self._told.add(whose)
            source = numbers.shown(expression.text)
            self.notices.append(f"{whose}: source {source} {expression.trouble}: it keeps its last value")


def load_mapping(path_or_text: Path | str, spec: ModelSpec, inputs: tuple[str, ...]) -> Mapping:
    """Read a mapping for that model, from a file or (a string of several lines) from its text.

    inputs: names, in the order of the vectors given to `step`. Raises MappingError: one line naming the file, the
    channel and the entry.
    """
    if isinstance(path_or_text, str) and "\n" in path_or_text:
        where, text = "mapping", path_or_text
    else:
        where = str(path_or_text)
        try:
            text = Path(path_or_text).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise MappingError(f"{where}: cannot read the mapping: {_reason(error)}") from error
    try:
        document = cast("dict[str, object]", tomllib.loads(text))
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise MappingError(f"{where}: not valid TOML: {error}") from error
    return _Reader(where, spec, inputs).mapping(document)


def mapping_for(path: Path | None, spec: ModelSpec, inputs: tuple[str, ...]) -> Mapping:
    """The mapping in that file; for None, a model that comes without one, its channels are the inputs themselves."""
    return identity_mapping(spec, inputs) if path is None else load_mapping(path, spec, inputs)


def identity_mapping(spec: ModelSpec, inputs: tuple[str, ...]) -> Mapping:
    """For end-to-end models: every channel is the input of the same name, or an accent's (accents.CHANNEL). Raises
    MappingError if one is neither."""
    by_accents = {accents.CHANNEL.format(name): accents.PREFIX + name for name in accents.ACCENTS}
    external = tuple(by_accents[channel.name] for channel in spec.channels if channel.name in by_accents)
    routes: list[Route] = []
    for channel in spec.channels:
        span = (channel.minimum, channel.maximum)
        if channel.name in inputs:
            routes.append(Route(inputs.index(channel.name), span, span))
        elif channel.name in by_accents:
            routes.append(Route(len(inputs) + external.index(by_accents[channel.name]), span, span))
        else:
            raise MappingError(
                f"model {spec.name}: channel {channel.name!r} is no body feature, so the model needs a mapping.toml"
            )
    return Mapping(spec.channels, tuple(routes), presence=None, external=external)


class _Reader:
    """Checks a parsed mapping.toml entry by entry; every complaint names file, channel and entry."""

    def __init__(self, where: str, spec: ModelSpec, inputs: tuple[str, ...]) -> None:
        self.where = where
        self.spec = spec
        self.features = inputs
        self.sources = Sources(inputs)

    def mapping(self, document: dict[str, object]) -> Mapping:
        for key in document:
            if key not in ("channels", "styles", "triggers", "effects"):
                self.fail(
                    "", f"unknown table [{key}]; there are [channels.NAME], [styles], [triggers.NAME] and [effects]"
                )
        triggers = self.triggers(document.get("triggers", {}))
        tables = _table(document.get("channels"))
        if tables is None:
            self.fail("", "no [channels.NAME] tables")
        names = self.spec.channel_names
        for name in tables:
            if name not in names:
                self.fail(name, f"model {self.spec.name} has no such channel{near(name, names)}")
        routes: list[Route] = []
        for channel in self.spec.channels:
            table = _table(tables.get(channel.name))
            if table is None:
                self.fail(channel.name, f"missing; model {self.spec.name} needs [channels.{channel.name}]")
            routes.append(self.route(channel, table))
        blend = self.styles(document["styles"]) if "styles" in document else None
        effects = self.effects(document["effects"]) if "effects" in document else None
        inputs, external = self.sources.inputs, tuple(self.sources.external)
        presence = inputs.index("presence") if "presence" in inputs else None
        return Mapping(self.spec.channels, tuple(routes), presence, external, blend, triggers, effects)

    def triggers(self, value: object) -> tuple[Trigger, ...]:
        """Before all else that has sources: their names are such."""
        tables = _table(value)
        if tables is None:
            self.fail("", "triggers: expected tables, [triggers.NAME]")
        self.sources = Sources(self.features, tuple(tables))
        try:
            return read_triggers(tables, self.sources, self.spec.styles)
        except TriggerError as error:
            self.fail("", str(error))

    def styles(self, value: object) -> StyleRoutes:
        table, names = _table(value), self.spec.styles
        if table is None:
            self.fail("", "styles: expected a table, [styles] or [styles.NAME]")
        if len(names) < 2:
            self.fail("", f"[styles]: model {self.spec.name} has no styles to blend; take the table out")
        if len(names) > MAX_BLEND:
            self.fail("", f"[styles]: model {self.spec.name} has {len(names)} styles; up to {MAX_BLEND} can be blended")
        axis = "between" in table or "source" in table
        played = table.get("between") if axis else list(table)
        if not isinstance(played, list) or len(cast("list[object]", played)) < 1 + axis:
            self.fail("", 'styles: expected names, as in between = ["cello", "flute"], or tables [styles.NAME]')
        places: list[int] = []
        for name in cast("list[object]", played):
            if not isinstance(name, str) or name not in names:
                self.fail("", f"styles: model {self.spec.name} has no style {name!r}{near(str(name), names)}")
            if names.index(name) in places:
                self.fail("", f"styles: {name!r} stands there twice")
            places.append(names.index(name))
        tables = {"styles": {k: v for k, v in table.items() if k != "between"}} if axis else table
        channels: list[Channel] = []
        routes: list[Route] = []
        for name, own in tables.items():
            entries = _table(own)
            label = name if axis else f"styles.{name}"
            if entries is None:
                self.fail(label, f"expected a table, [styles.{name}]")
            channel = Channel(label, "0..1", 0.0, float(len(places) - 1) if axis else 1.0, 0.0)
            if axis and "to" in entries:
                self.fail(label, "to: an axis goes from its first style to its last; turn `from` round instead")
            if "scale" in entries:
                self.fail(label, "scale: for pitch")
            channels.append(channel)
            routes.append(self.route(channel, entries))
        return StyleRoutes(len(names), tuple(places), tuple(channels), tuple(routes))

    def effects(self, value: object) -> tuple[PlayedEffects, tuple[Route, ...]]:
        table = _table(value)
        if not table:
            self.fail("", 'effects: expected what plays them, as in reverb = "crouch"')
        routes: list[Route] = []
        for name, own in table.items():
            if name not in EFFECT_CHANNELS:
                self.fail("", f"effects: there is no {name!r} to play{near(name, EFFECT_CHANNELS)}")
            entries = _table(entries_of(name, own))
            if entries is None:
                self.fail(f"effects.{name}", 'expected a source, as in reverb = "crouch", or a table')
            if "scale" in entries:
                self.fail(f"effects.{name}", "scale: for pitch")
            routes.append(self.route(EFFECT_CHANNELS[name], entries))
        return PlayedEffects(tuple(table)), tuple(routes)

    def route(self, channel: Channel, table: dict[str, object]) -> Route:
        name = channel.name
        for entry in table:
            if entry not in _ENTRIES:
                self.fail(name, f"unknown entry {entry!r}{near(entry, _ENTRIES)}")
        source = table.get("source")
        if not isinstance(source, str):
            self.fail(name, 'source: expected a name, as in source = "right_hand_height"')
        try:
            read = self.sources.read(source)
        except ExpressionError as error:
            self.fail(name, f"source: {error}")
        expression = read if isinstance(read, Expression) else None
        places = read.places if isinstance(read, Expression) else (read,)
        to_range = self.pair(name, "to", table.get("to", [channel.minimum, channel.maximum]))
        if min(to_range) < channel.minimum or max(to_range) > channel.maximum:
            self.fail(
                name,
                f"to: {list(to_range)} leaves the model's range "
                f"{channel.minimum:g}..{channel.maximum:g} {channel.unit}",
            )
        from_range = self.pair(name, "from", table.get("from"))
        if from_range[0] == from_range[1]:
            self.fail(name, f"from: {list(from_range)} is an empty range")
        curve = table.get("curve", "linear")
        if isinstance(curve, str):
            if curve not in CURVES:
                self.fail(name, f"curve: unknown curve {curve!r}{near(curve, CURVES)}")
            curve = CURVES[curve]
        steps, root = self.scale(name, table)
        notes = scale_notes(steps, root, to_range)
        if steps and len(notes) < 2:
            self.fail(name, f"scale: fewer than two of its notes lie in {min(to_range):g}..{max(to_range):g}")
        return Route(
            input=None if isinstance(read, Expression) else read,
            from_range=from_range,
            to_range=to_range,
            curve=self.number(name, "curve", curve, 0.05, 20.0),
            smoothing_s=self.number(name, "smoothing_s", table.get("smoothing_s", 0.0), 0.0, 10.0),
            notes=notes,
            snap=self.number(name, "snap", table.get("snap", 0.0), 0.0, 1.0),
            eased=self.sources.is_bodily(places),
            steps=steps,
            root=root,
            expression=expression,
        )

    def scale(self, name: str, table: dict[str, object]) -> tuple[tuple[float, ...], float]:
        """Semitones above the root, none without a scale, and the root."""
        scale = table.get("scale")
        if scale is None:
            for entry in ("root", "snap"):
                if entry in table:
                    self.fail(name, f"{entry}: needs a scale beside it{_choice(SCALES)}")
            return (), 0.0
        if isinstance(scale, str):
            if scale not in SCALES:
                self.fail(name, f"scale: unknown scale {scale!r}{near(scale, SCALES)}")
            steps: tuple[float, ...] = SCALES[scale]
        elif isinstance(scale, list) and scale:
            degrees = cast("list[object]", scale)
            steps = tuple(self.number(name, "scale", degree, 0.0, 11.99) for degree in degrees)
        else:
            self.fail(name, "scale: expected a name or a list of semitones")
        return steps, self.root(name, table.get("root", "C"))

    def root(self, name: str, root: object) -> float:
        if not isinstance(root, str):
            return self.number(name, "root", root, 0.0, 127.0)
        pitch = pitch_class(root)
        if pitch is None:
            self.fail(name, f'root: unknown note {root!r}; write it as "A", "F#" or "Bb", or as a MIDI number')
        return float(pitch)

    def pair(self, name: str, entry: str, value: object) -> tuple[float, float]:
        values = cast("list[object]", value) if isinstance(value, list) else []
        if len(values) != 2:
            self.fail(name, f"{entry}: expected two numbers, as in {entry} = [0.0, 1.0]")
        low, high = (self.number(name, entry, end, -1e9, 1e9) for end in values)
        return low, high

    def number(self, name: str, entry: str, value: object, low: float, high: float) -> float:
        try:
            return numbers.number(value, low, high)
        except ValueError as error:
            self.fail(name, f"{entry}: {error}")

    def fail(self, channel: str, problem: str) -> NoReturn:
        place = f"{self.where}: channel {channel!r}: " if channel else f"{self.where}: "
        raise MappingError(place + problem)


def _into_scale(pitch: float, notes: np.ndarray, snap: float) -> float:
    """Pull a pitch towards the notes of a scale, from the lowest to the highest given.

    Continuous and never falling for snap < 1, so a glide stays a glide.
    """
    above = min(max(int(np.searchsorted(notes, pitch, side="right")), 1), len(notes) - 1)
    low, high = float(notes[above - 1]), float(notes[above])
    part = min(max((pitch - low) / (high - low), 0.0), 1.0)
    if snap >= 1.0:
        return high if part >= 0.5 else low
    steep = 1.0 / (1.0 - snap)
    up, down = part**steep, (1.0 - part) ** steep
    return low + (high - low) * up / (up + down)


def _table(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _choice(known: Iterable[str]) -> str:
    return f"; there are: {', '.join(known)}"


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
