"""Documents and texts with something changed in them, as hypothesis draws it: what fuzzers of every parser share.

In: a sound document, text or bytes. Out: strategies of others. Knows no parser.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

TOKENS = (
    *("nan", "inf", "-inf", "1e999", "-0.0", "5e-324", "9" * 400, "0x10", "true", "null", "None", '""', "''", '"""'),
    *("[", "]", "[[", "]]", "{", "}", "=", ",", ".", "\\", "\\u0000", "\\ud800", "#", "\n", "\r", "\t", "\0", "\ufeff"),
    *("\u202e", "😀", "é", "1_0", "1979-05-27", "[" * 500, "{" * 500, "a." * 300),
)
"""What parsers of TOML and JSON choke on."""


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a document something stands that has no parts; lists count as one, too."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
        return
    yield path
    if isinstance(value, list):
        for place, each in enumerate(value):
            yield from leaves(each, (*path, place))


def with_value(document: Any, path: tuple[Any, ...], value: object) -> Any:
    changed = copy.deepcopy(document)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


def every_number(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from every_number(each)
    elif isinstance(value, (int, float)):
        yield value


@st.composite
def edited(draw: st.DrawFn, text: str) -> str:
    """One to three pieces left out, said twice, or replaced by a token."""
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, len(text)))
        last = min(first + draw(st.integers(0, 30)), len(text))
        piece = draw(st.sampled_from(["", text[first:last] * 2, *TOKENS]) | st.text(max_size=5))
        text = text[:first] + piece + text[last:]
    return text


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut off, or a piece of up to 12 bytes replaced; near the beginning, where headers are, as often as anywhere."""
    most = max(len(content) - 1, 0)
    at = draw(st.integers(0, most) | st.integers(0, min(200, most)))
    piece = draw(st.binary(max_size=12))
    return draw(st.sampled_from([content[:at], content[:at] + piece + content[at + len(piece) :]]))
