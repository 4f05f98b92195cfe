"""What the key `source` of a mapping means: the name of an input, or an expression of several (expressions.py).

In: the text, and names of the features. Out: the input's index or an Expression, and which external inputs are wanted.
Raises ExpressionError that names the nearest there is. Knows no channel, no range and no file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from livemove.body import accents, mapped_triggers, postures, triggers
from livemove.body.accents import ACCENTS
from livemove.body.dancers import NAMES, of_dancer, own_name
from livemove.body.expression_nodes import FUNCTIONS, ExpressionError
from livemove.body.expressions import Expression
from livemove.body.features import FEATURES
from livemove.body.triggers import HITS, VARIATION

_EVENT = re.compile(rf"{triggers.PREFIX}({'|'.join((*HITS, VARIATION))})|{accents.PREFIX}({'|'.join(ACCENTS)})")
EXTERNAL = re.compile(
    r"osc:/\S+|midi:(note|velocity|bend|pressure|cc(\d|[1-9]\d|1[01]\d|12[0-7]))|link\.(tempo|beat|phase)|"
    r"clock\.(tempo|beat|phase|running)|mtc\.(seconds|running)|"
    rf"{re.escape(postures.PREFIX)}{postures.NAME.pattern}|" + _EVENT.pattern
)
"""Names of external inputs: an OSC address, a MIDI message, the beat of Link or of a MIDI clock, MIDI timecode, a hit
or an accent of the body (its envelope, see livemove.body.triggers and accents), a posture that was shown by example
(livemove.body.postures; whether it was is posture_files' to say). Everything else is a body feature."""

SIDES = {"left": "right", "right": "left"}

_OPERATOR = re.compile(r"[-+*/(),]|\s")
"""What no name has in it; but see `Sources.read`."""


class Sources:
    """The sources of one mapping, as they are read.

    inputs    names of the features, in the order of the vectors given to `Mapping.step`
    external  names of the external inputs, whose values follow them, in the order in which they were named
    triggers  names of the mapping's triggers, whose envelopes stand at the end: index -1 is the last one's
    """

    def __init__(self, inputs: tuple[str, ...], triggers: tuple[str, ...] = ()) -> None:
        self.inputs = inputs
        self.triggers = triggers
        self.external: list[str] = []

    def read(self, source: str, triggers: bool = True) -> int | Expression:
        """An input's index, or the expression (also of a trigger alone). triggers: whether they may be among the
        inputs. Raises ExpressionError.

        An address of OSC may have operators in its name, but by its specification neither * nor comma: with one of
        these it is an expression; otherwise, by itself, a name as it always was.
        """
        is_name = EXTERNAL.fullmatch(source) and not ("*" in source or "," in source)
        if is_name or source in self.inputs or not (_OPERATOR.search(source) or _is_number(source)):
            place = self.place(source, triggers)
            return place if place >= 0 else Expression(source, self.place)
        return Expression(source, lambda name: self.place(name, triggers))

    def place(self, name: str, triggers: bool = True) -> int:
        """The index of that input. Raises ExpressionError naming those that are like it."""
        if name in self.inputs:
            return self.inputs.index(name)
        if name.startswith(mapped_triggers.PREFIX):
            return self._trigger(name, triggers)
        if not EXTERNAL.fullmatch(name) and not self._is_further(name):
            raise ExpressionError(self._unknown(name))
        if name not in self.external:
            self.external.append(name)
        return len(self.inputs) + self.external.index(name)

    def is_bodily(self, places: Iterable[int]) -> bool:
        """Whether any of these inputs is a movement: not MIDI, OSC or Link, not whether somebody is there at all."""
        return any(place < len(self.inputs) and self.inputs[place] != "presence" for place in places)

    def _is_further(self, name: str) -> bool:
        """Whether it is an input of another dancer than the first."""
        dancer, own = own_name(name)
        return dancer > 0 and (own in self.inputs or bool(_EVENT.fullmatch(own)))

    def _trigger(self, name: str, allowed: bool) -> int:
        which = name.removeprefix(mapped_triggers.PREFIX)
        if not allowed:
            raise ExpressionError(f"{name!r}: a trigger cannot be fired by triggers")
        if which not in self.triggers:
            known = [mapped_triggers.PREFIX + each for each in self.triggers]
            raise ExpressionError(
                f"unknown trigger {name!r}{near(name, known) if known else '; write a table [triggers.NAME]'}"
            )
        return self.triggers.index(which) - len(self.triggers)

    def _unknown(self, name: str) -> str:
        dancer, own = own_name(name)
        if dancer:
            return self._unknown(own).replace(f"{own!r}", f"{name!r}", 1)
        if name.startswith("dancer"):
            further = " or ".join(f'"{each}.right_hand_height"' for each in NAMES[1:])
            return f"unknown input {name!r}; the first dancer's have plain names, another one's are written {further}"
        if name.startswith(accents.PREFIX):
            return f"unknown accent {name!r}{near(name, [accents.PREFIX + accent for accent in ACCENTS])}"
        if name.startswith(triggers.PREFIX):
            return f"unknown hit {name!r}{near(name, [triggers.PREFIX + hit for hit in (*HITS, VARIATION)])}"
        if name.startswith(postures.PREFIX.rstrip(".")):
            return f'unknown posture {name!r}; write "{postures.PREFIX}NAME", a word of letters, digits and _'
        if name.startswith(("osc", "midi", "link", "clock", "mtc")):
            examples = '"osc:/fader1", "midi:cc1", "midi:note", "link.beat", "clock.beat" or "mtc.seconds"'
            return f"unknown input {name!r}; write {examples}"
        if name in FUNCTIONS:
            return f"unknown input {name!r}: it is a function, {FUNCTIONS[name].usage}"
        return f"unknown input {name!r}{near(name, self.inputs)}"


def near(name: str, known: Iterable[str]) -> str:
    """For the end of an error: names like that one, or all there are."""
    matches = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(matches)}?" if matches else f"; there are: {', '.join(known)}"


def _is_number(source: str) -> bool:
    return source[:1].isdecimal()


def is_bodily(name: str) -> bool:
    """Whether an input is a feature or an event of a body, under no dancer's name."""
    return name in FEATURES or bool(_EVENT.fullmatch(name))


def other_side(name: str) -> str:
    """The input of the other hand or foot: "left_elbow" -> "right_elbow", "hit:right_foot" -> "hit:left_foot"; one that
    has no side, or comes from outside (OSC, MIDI, Link), itself."""
    dancer, name = own_name(name)
    kind, colon, own = name.rpartition(":")
    side, line, rest = own.partition("_")
    if side not in SIDES or not line or kind + colon not in ("", triggers.PREFIX, accents.PREFIX):
        return of_dancer(name, dancer)
    return of_dancer(f"{kind}{colon}{SIDES[side]}{line}{rest}", dancer)
