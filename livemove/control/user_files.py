"""Files that are kept for the performer between shows: where they are, written whole or not at all, with a backup."""

from __future__ import annotations

import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import platformdirs
import tomli_w

from livemove.contracts import ControlError

Value = TypeVar("Value", int, float)


def config_folder() -> Path:
    return platformdirs.user_config_path("livemove", appauthor=False)


def learnt_file() -> Path:
    """What MIDI knobs were taught."""
    return config_folder() / "midi.toml"


def delays_file() -> Path:
    """What claps told of cameras and audio devices."""
    return config_folder() / "delays.toml"


def blocks_file() -> Path:
    """Which block each audio device held."""
    return config_folder() / "blocks.toml"


def presets_folder() -> Path:
    return config_folder() / "presets"


def fitted_file(model: str) -> Path:
    """The mapping that `livemove calibrate` fitted for the model of that name: its own, from then on."""
    return config_folder() / "mappings" / f"{model}.toml"


def is_fitted(mapping: Path) -> bool:
    """Whether that is one of those that `livemove calibrate` keeps, for a model or beside presets."""
    kept = (fitted_file("").parent, presets_folder() / "mappings")
    return mapping.resolve().parent in [folder.resolve() for folder in kept]


def write_whole(path: Path, text: str) -> None:
    """The new content or, whatever happens on the way, the old; the old one stays beside it as NAME.bak.

    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copyfile(path, path.with_name(path.name + ".bak"))
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)


def read_tables(
    path: Path, tables: tuple[str, ...], checked: Callable[[object], Value], mend: str
) -> dict[str, dict[str, Value]]:
    """These tables of numbers by name, each empty where the file has none, or is not there.

    checked: gives the number, or raises ValueError; mend: what to do with a damaged file. Raises ControlError.
    """
    found: dict[str, dict[str, Value]] = {table: {} for table in tables}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return found
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ControlError(f"{path}: cannot be read: {error}; {mend}") from error
    for table in tables:
        entries = document.get(table, {})
        if not isinstance(entries, dict):
            raise ControlError(f"{path}: {table}: expected a table; {mend}")
        for name, value in cast("dict[str, Any]", entries).items():
            try:
                found[table][name] = checked(value)
            except ValueError as error:
                raise ControlError(f"{path}: {table}: {name!r:.60}: {error}; {mend}") from error
    return found


def write_tables(path: Path, tables: Mapping[str, Mapping[str, float]]) -> Path:
    """What `read_tables` reads; gives the path back. Raises ControlError."""
    try:
        write_whole(path, tomli_w.dumps({name: dict(table) for name, table in tables.items() if table}))
    except OSError as error:
        raise ControlError(f"{path} cannot be written: {error.strerror}") from error
    return path
