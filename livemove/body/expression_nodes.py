"""What expressions are made of: arithmetic, and functions that mix, gate, hold and smooth, as nodes that are called.

In: values of the inputs as floats, once a hop. Out: a float, NaN where there is none. A node that remembers keeps
floats that can be put back and copied. Time only from the arguments. Knows no text, no grammar and no body.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from livemove import numbers


class ExpressionError(ValueError):
    """What is wrong with an expression, and where in it; one line, without file and channel."""


Node = Callable[[Sequence[float], float], float]
"""(values of the inputs, seconds since the last hop) -> value."""


class Number:
    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, values: Sequence[float], dt_s: float) -> float:
        return self.value


def input_of(place: int) -> Node:
    return lambda values, dt_s: values[place]


def negative(node: Node) -> Node:
    return lambda values, dt_s: -node(values, dt_s)


def added(left: Node, right: Node) -> Node:
    return lambda values, dt_s: left(values, dt_s) + right(values, dt_s)


def subtracted(left: Node, right: Node) -> Node:
    return lambda values, dt_s: left(values, dt_s) - right(values, dt_s)


def multiplied(left: Node, right: Node) -> Node:
    return lambda values, dt_s: left(values, dt_s) * right(values, dt_s)


class Quotient:
    """Left over right; NaN where right is 0."""

    def __init__(self, left: Node, right: Node) -> None:
        self._left, self._right = left, right
        self.divided_by_zero = False

    def __call__(self, values: Sequence[float], dt_s: float) -> float:
        left, right = self._left(values, dt_s), self._right(values, dt_s)
        if right == 0.0:
            self.divided_by_zero = True
            return math.nan
        return left / right


def _larger(left: Node, right: Node) -> Node:
    """Of both; NaN if one of them is, in whatever order."""

    def node(values: Sequence[float], dt_s: float) -> float:
        a, b = left(values, dt_s), right(values, dt_s)
        return a if a >= b else b if b > a else math.nan

    return node


def _least(nodes: list[Node]) -> Node:
    return negative(_most([negative(node) for node in nodes]))


def _most(nodes: list[Node]) -> Node:
    most = nodes[0]
    for node in nodes[1:]:
        most = _larger(most, node)
    return most


def _absolute(nodes: list[Node]) -> Node:
    (node,) = nodes
    return lambda values, dt_s: abs(node(values, dt_s))


def _clip(nodes: list[Node]) -> Node:
    node, low, high = nodes[0], _value(nodes[1]), _value(nodes[2])
    if not low < high:
        raise ExpressionError(f"clip: {low:g} must be below {high:g}")

    def clipped(values: Sequence[float], dt_s: float) -> float:
        found = node(values, dt_s)
        return low if found < low else high if found > high else found

    return clipped


def _norm(nodes: list[Node]) -> Node:
    node, first, last = nodes[0], _value(nodes[1]), _value(nodes[2])
    if first == last:
        raise ExpressionError(f"norm: {first:g} to {last:g} is an empty range")

    def normed(values: Sequence[float], dt_s: float) -> float:
        found = (node(values, dt_s) - first) / (last - first)
        return 0.0 if found < 0.0 else 1.0 if found > 1.0 else found

    return normed


def _mix(nodes: list[Node]) -> Node:
    left, right, share = nodes

    def mixed(values: Sequence[float], dt_s: float) -> float:
        a = left(values, dt_s)
        return a + (right(values, dt_s) - a) * share(values, dt_s)

    return mixed


def _default(nodes: list[Node]) -> Node:
    node, other = nodes

    def given(values: Sequence[float], dt_s: float) -> float:
        found, instead = node(values, dt_s), other(values, dt_s)
        return found if math.isfinite(found) else instead

    return given


# --- what remembers -----------------------------------------------------------------------------------------


class Memory(ABC):
    """A node with a state, floats that `reset` puts back; an input that is no number leaves it as it is."""

    START: tuple[float, ...]

    def __init__(self) -> None:
        self.state = list(self.START)

    def reset(self) -> None:
        self.state[:] = self.START

    @abstractmethod
    def __call__(self, values: Sequence[float], dt_s: float) -> float: ...


class Threshold:
    """Hysteresis: high from when a value rises to `on`, until it falls below `off`."""

    def __init__(self, on: float, off: float) -> None:
        self.on, self.off = on, off

    def high(self, value: float, was_high: float) -> float:
        """1 or 0; what is no number changes nothing."""
        if value >= self.on:
            return 1.0
        return 0.0 if value < self.off else was_high


class _Over(Memory):
    START = (0.0,)

    def __init__(self, nodes: list[Node]) -> None:
        super().__init__()
        self._node, self._threshold = nodes[0], _threshold("over", nodes[1:])

    def __call__(self, values: Sequence[float], dt_s: float) -> float:
        self.state[0] = self._threshold.high(self._node(values, dt_s), self.state[0])
        return self.state[0]


class _Gate(Memory):
    START = (0.0,)

    def __init__(self, nodes: list[Node]) -> None:
        super().__init__()
        self._node, self._key, self._threshold = nodes[0], nodes[1], _threshold("gate", nodes[2:])

    def __call__(self, values: Sequence[float], dt_s: float) -> float:
        found = self._node(values, dt_s)
        self.state[0] = self._threshold.high(self._key(values, dt_s), self.state[0])
        return found if self.state[0] else 0.0


class _Latch(Memory):
    START = (0.0, math.nan)

    def __init__(self, nodes: list[Node]) -> None:
        super().__init__()
        self._node, self._key, self._threshold = nodes[0], nodes[1], _threshold("latch", nodes[2:])

    def __call__(self, values: Sequence[float], dt_s: float) -> float:
        found, (was_high, kept) = self._node(values, dt_s), self.state
        high = self._threshold.high(self._key(values, dt_s), was_high)
        if math.isfinite(found) and ((high and not was_high) or math.isnan(kept)):
            kept = found
        self.state[:] = high, kept
        return kept


class _Slew(Memory):
    START = (math.nan,)

    def __init__(self, nodes: list[Node]) -> None:
        super().__init__()
        self._node = nodes[0]
        self._up, self._down = (_within("slew", node, 1e-3, 1e6) for node in nodes[1:])

    def __call__(self, values: Sequence[float], dt_s: float) -> float:
        goal, now = self._node(values, dt_s), self.state[0]
        if not math.isfinite(goal):
            return now
        if math.isfinite(now):
            goal = min(max(goal, now - self._down * dt_s), now + self._up * dt_s)
        self.state[0] = goal
        return goal


class _Follower(Memory):
    """One-pole low-pass with a time constant for the way up and one for the way down."""

    START = (math.nan,)

    def __init__(self, name: str, nodes: list[Node]) -> None:
        super().__init__()
        self._node = nodes[0]
        self._up_s, self._down_s = (_within(name, node, 1e-3, 60.0) for node in (nodes[1], nodes[-1]))

    def __call__(self, values: Sequence[float], dt_s: float) -> float:
        goal, now = self._node(values, dt_s), self.state[0]
        if not math.isfinite(goal):
            return now
        if math.isfinite(now):
            goal = now + (goal - now) * -math.expm1(-dt_s / (self._up_s if goal > now else self._down_s))
        self.state[0] = goal
        return goal


def _value(node: Node) -> float:
    assert isinstance(node, Number)  # `Function.numbers` says so
    return node.value


def _within(function: str, node: Node, low: float, high: float) -> float:
    try:
        return numbers.number(_value(node), low, high)
    except ValueError as error:
        raise ExpressionError(f"{function}: {error}") from error


def _threshold(function: str, nodes: list[Node]) -> Threshold:
    on = _value(nodes[0])
    off = _value(nodes[1]) if len(nodes) > 1 else on
    if off > on:
        raise ExpressionError(f"{function}: it closes at {off:g}, which must not be above {on:g}, where it opens")
    return Threshold(on, off)


# --- the functions ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Function:
    """usage: how it is written. help: what it gives. count: of arguments, least and most. numbers: from which argument
    on they must be written as numbers."""

    usage: str
    help: str
    count: tuple[int, int]
    numbers: int
    make: Callable[[list[Node]], Node]

    @property
    def name(self) -> str:
        return self.usage.partition("(")[0]


_ALL = 99
_TABLE = (
    Function("min(a, b, ...)", "the smallest", (2, 8), _ALL, _least),
    Function("max(a, b, ...)", "the largest", (2, 8), _ALL, _most),
    Function("abs(a)", "without its sign: abs(a - b) is how far apart they are", (1, 1), _ALL, _absolute),
    Function("clip(a, LOW, HIGH)", "no lower and no higher", (3, 3), 1, _clip),
    Function("norm(a, FROM, TO)", "FROM..TO as 0..1, clipped: inputs of other ranges side by side", (3, 3), 1, _norm),
    Function("mix(a, b, share)", "a where share is 0, b where it is 1, in between a straight line", (3, 3), _ALL, _mix),
    Function("default(a, b)", "a, or b while nothing has come yet (of OSC, MIDI, Link)", (2, 2), _ALL, _default),
    Function("over(a, ON, OFF)", "1 from when a rises to ON until it falls below OFF, else 0", (2, 3), 1, _Over),
    Function("gate(a, key, ON, OFF)", "a while over(key, ON, OFF), else 0", (3, 4), 2, _Gate),
    Function("latch(a, key, ON, OFF)", "a as it was when key last rose to ON", (3, 4), 2, _Latch),
    Function("slew(a, UP, DOWN)", "a, no faster than UP and DOWN per second", (3, 3), 1, _Slew),
    Function("lag(a, SECONDS)", "a, smoothed with that time constant", (2, 2), 1, lambda n: _Follower("lag", n)),
    Function(
        "envelope(a, ATTACK, RELEASE)", "a, followed upwards and downwards with these time constants in seconds",
        (3, 3), 1, lambda n: _Follower("envelope", n),
    ),
)  # fmt: skip

FUNCTIONS = {function.name: function for function in _TABLE}
"""By name. What is written in capitals must be a number; OFF may be left out, then it is ON."""
