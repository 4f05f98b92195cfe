"""Paths as text that can be shown and stored, whatever bytes they are on the disk.

In: paths, or what holds them. Out: text without lone surrogates, which Python has where a name is no UTF-8. Opens no
file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast


def printable(path: Path | str) -> str:
    """Bytes that are no text become question marks."""
    return os.fsencode(path).decode("utf-8", "replace").replace("\ufffd", "?")


def is_text(path: Path | str) -> bool:
    """Whether a path can be written into a text file and read back."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def printable_content(content: Any) -> Any:
    """Of what is about to become JSON: dicts, lists, numbers and texts, these as `printable` gives them."""
    if isinstance(content, str):
        return content if is_text(content) else content.encode("utf-8", "replace").decode()
    if isinstance(content, Mapping):
        return {printable_content(k): printable_content(v) for k, v in cast("Mapping[Any, Any]", content).items()}
    if isinstance(content, (list, tuple)):
        return [printable_content(each) for each in cast("list[Any]", content)]
    return content


def expanded(path: Path | str) -> Path:
    """With ~ or ~NAME at its beginning as that person's folder; where there is no such person, as it stands."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
