"""Sources combined: "max(left_hand_height, right_hand_height) * gate(energy, hit:clap, 0.1)" -> one number a hop.

In: text of a mapping.toml, which is a stranger's, and names of inputs; then the inputs' values, hop by hop. Out: a
float, or ExpressionError that says where in the text what is wrong. A grammar of its own: nothing of it is ever given
to Python. Causal; time only from the arguments. Knows no channel, no file and no body.

    sum      = product { ("+" | "-") product }
    product  = sign { ("*" | "/") sign }
    sign     = "-" sign | number | name | function "(" sum { "," sum } ")" | "(" sum ")"
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from livemove import numbers
from livemove.body.expression_nodes import (
    FUNCTIONS,
    ExpressionError,
    Memory,
    Node,
    Number,
    Quotient,
    added,
    input_of,
    multiplied,
    negative,
    subtracted,
)

LONGEST = 400
"""Characters of an expression."""

DEEPEST = 20
"""Brackets and signs within each other."""

MOST_NODES = 64
"""Numbers, names, operators and functions: what one hop may cost."""

_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>osc:/[^\s,()*]+|[A-Za-z_]\w*(?:[:.]\w+){0,2})|"
    r"(?P<sign>[-+*/(),])|(?P<space>\s+)",
    re.ASCII,
)


class Expression:
    """One number from several inputs.

    text    as it was written
    places  indices of the inputs that it takes, ascending; those counted from the end (triggers) are left out
    trouble what is wrong where it gave no number although its inputs are numbers; "": it never happened
    """

    def __init__(self, text: str, place_of: Callable[[str], int]) -> None:
        """place_of: a name -> index among the values of `step`; raises ExpressionError for what there is not."""
        parser = _Parser(text, place_of)
        self.text = text
        self._node = parser.whole()
        self._memories = parser.memories
        self._quotients = parser.quotients
        self.places = tuple(sorted(place for place in parser.places if place >= 0))
        self.trouble = ""
        self.reset()

    def __eq__(self, other: object) -> bool:
        """Whether it computes the same, wherever each of them is."""
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def reset(self) -> None:
        """As before the first hop."""
        self._last = math.nan
        for memory in self._memories:
            memory.reset()

    def take_over(self, other: Expression) -> None:
        """Go on from where another one of the same text is."""
        self._last = other._last
        for mine, theirs in zip(self._memories, other._memories, strict=True):
            mine.state[:] = theirs.state

    def step(self, values: Sequence[float], dt_s: float) -> float:
        """The value after dt_s seconds with these inputs (a list: reading single numbers of an array is slow).

        Where it is no finite number the last one stays; NaN before the first.
        """
        found = self._node(values, dt_s)
        if math.isfinite(found):
            self._last = found
        elif not self.trouble and all(math.isfinite(values[place]) for place in self.places):
            zero = any(each.divided_by_zero for each in self._quotients)
            self.trouble = "divides by zero" if zero else "gives a number that is too large"
        return self._last


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


class _Parser:
    """Recursive descent: one method for each rule of the grammar."""

    def __init__(self, text: str, place_of: Callable[[str], int]) -> None:
        if len(text) > LONGEST:
            raise ExpressionError(f"an expression of {len(text)} characters; {LONGEST} at most")
        self.text = text
        self.memories: list[Memory] = []
        self.quotients: list[Quotient] = []
        self.places: set[int] = set()
        self._place_of = place_of
        self._nodes = self._depth = 0
        self._tokens = self._split()
        self._next = 0

    def whole(self) -> Node:
        node = self._sum()
        if (token := self._peek()).kind != "end":
            missing = "an operator is missing before" if token.kind != "sign" or token.text == "(" else "unexpected"
            self._fail(f"{missing} {token.text!r}", token)
        return node

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while at < len(self.text):
            found = _TOKEN.match(self.text, at)
            if found is None:
                self._fail(f"cannot read {self.text[at]!r}", _Token("", "", at))
            if found.lastgroup != "space":
                tokens.append(_Token(found.lastgroup or "", found.group(), at))
            at = found.end()
        return [*tokens, _Token("end", "the end", len(self.text))]

    def _sum(self) -> Node:
        node = self._product()
        while (token := self._peek()).text in ("+", "-"):
            self._take()
            make = added if token.text == "+" else subtracted
            node = self._folded(make(node, right := self._product()), token, node, right)
        return node

    def _product(self) -> Node:
        node = self._sign()
        while (token := self._peek()).text in ("*", "/"):
            self._take()
            right = self._sign()
            if token.text == "*":
                node = self._folded(multiplied(node, right), token, node, right)
                continue
            if isinstance(right, Number) and right.value == 0.0:
                self._fail("divides by zero", token)
            quotient = Quotient(node, right)
            self.quotients.append(quotient)
            node = self._folded(quotient, token, node, right)
        return node

    def _sign(self) -> Node:
        self._depth += 1
        token = self._peek()
        if self._depth > DEEPEST:
            self._fail(f"more than {DEEPEST} brackets within each other", token)
        if token.text == "-":
            self._take()
            node = self._sign()
            found = self._folded(negative(node), token, node)
        else:
            found = self._primary()
        self._depth -= 1
        return found

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "number":
            try:
                return self._counted(Number(numbers.of_text(token.text)), token)
            except ValueError as error:
                self._fail(str(error), token)
        if token.kind == "name" and self._peek().text == "(":
            return self._call(token)
        if token.kind == "name":
            try:
                place = self._place_of(token.text)
            except ExpressionError as error:
                self._fail(str(error), token)
            self.places.add(place)
            return self._counted(input_of(place), token)
        if token.text == "(":
            node = self._sum()
            self._close(token)
            return node
        self._fail(f"expected a number, a name or a bracket, not {_shown(token)}", token)

    def _call(self, name: _Token) -> Node:
        function = FUNCTIONS.get(name.text)
        if function is None:
            self._fail(f"unknown function {name.text!r}{_near(name.text, FUNCTIONS)}", name)
        opening = self._take()
        starts, arguments = [self._peek()], [self._sum()]
        while self._peek().text == ",":
            self._take()
            starts.append(self._peek())
            arguments.append(self._sum())
        self._close(opening)
        least, most = function.count
        if not least <= len(arguments) <= most:
            self._fail(f"{function.usage}: {len(arguments)} arguments are too {_few(len(arguments) < least)}", name)
        for start, argument in list(zip(starts, arguments, strict=True))[function.numbers :]:
            if not isinstance(argument, Number):
                self._fail(f"{function.usage}: expected a number, not {_shown(start)}", start)
        try:
            node = function.make(arguments)
        except ExpressionError as error:
            self._fail(str(error), name)
        if isinstance(node, Memory):
            self.memories.append(node)
        return self._counted(node, name)

    def _close(self, opening: _Token) -> None:
        token = self._take()
        if token.text != ")":
            self._fail(f"the bracket is not closed (found {_shown(token)})", opening)

    def _counted(self, node: Node, token: _Token) -> Node:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            self._fail(f"more than {MOST_NODES} numbers, names and functions", token)
        return node

    def _folded(self, node: Node, token: _Token, *parts: Node) -> Node:
        """A number where all parts are numbers, so that limits may be written as 1/3."""
        if not all(isinstance(part, Number) for part in parts):
            return self._counted(node, token)
        value = node((), 0.0)
        if not math.isfinite(value):
            self._fail("gives a number that is too large", token)
        return self._counted(Number(value), token)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        if token.kind != "end":
            self._next += 1
        return token

    def _fail(self, problem: str, token: _Token) -> NoReturn:
        raise ExpressionError(f"{problem}, at place {token.at + 1} of {numbers.shown(self.text)}")


def _few(few: bool) -> str:
    return "few" if few else "many"


def _shown(token: _Token) -> str:
    return token.text if token.kind == "end" else numbers.shown(token.text)


def _near(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(matches)}?" if matches else f"; there are: {', '.join(known)}"
