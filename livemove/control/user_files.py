"""Files that are kept for the performer between shows: where they are, written whole or not at all, with a backup."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import platformdirs


def config_folder() -> Path:
    return platformdirs.user_config_path("livemove", appauthor=False)


def learnt_file() -> Path:
    """What MIDI knobs were taught."""
    return config_folder() / "midi.toml"


def delays_file() -> Path:
    """What claps told of cameras."""
    return config_folder() / "delays.toml"


def presets_folder() -> Path:
    return config_folder() / "presets"


def postures_folder() -> Path:
    """The postures that `livemove teach` was shown, one file each."""
    return config_folder() / "postures"


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
