"""Text files as Windows writes them, with a byte-order mark and its own ends of lines, read as any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemove.body.features import FEATURES
from livemove.body.mapping import load_mapping
from livemove.body.posture_files import as_text, read_posture
from livemove.body.postures import Posture, seen_in
from livemove.bundle import find_bundle, load_bundle
from livemove.capture.demo import pose_at
from livemove.contracts import ControlError, LivemoveError, PostureError
from livemove.control.midi import MidiBindings
from livemove.control.presets import set_list
from livemove.session.calibrate import with_ranges
from training.data.annotations import AnnotationError, read_annotations
from training.kinetics import ListError, read_list

MARK = b"\xef\xbb\xbf"


def from_windows(path: Path, text: str) -> Path:
    path.write_bytes(MARK + text.replace("\n", "\r\n").encode())
    return path


def test_a_mapping(tmp_path: Path) -> None:
    bundle = load_bundle(find_bundle("theremin"))
    assert bundle.mapping_path is not None
    text = bundle.mapping_path.read_text(encoding="utf-8")
    path = from_windows(tmp_path / "mapping.toml", text)
    assert load_mapping(path, bundle.spec, FEATURES).external == load_mapping(text, bundle.spec, FEATURES).external
    assert "0.25" in with_ranges(path, {"pitch": (0.25, 0.75)})


def test_a_preset_and_a_set_list(tmp_path: Path) -> None:
    from_windows(tmp_path / "soft.toml", 'model = "theremin"\ngain = 0.5\n')
    show = from_windows(tmp_path / "show.toml", 'presets = ["soft"]\n')
    assert [preset.gain for preset in set_list([str(show)])] == [0.5]


def test_a_posture(tmp_path: Path) -> None:
    seen = seen_in(pose_at(0.0))
    assert seen is not None
    path = from_windows(tmp_path / "low.toml", as_text(Posture("low", 0.1, (seen.body,))))
    assert read_posture(path).name == "low"


def test_what_midi_was_taught(tmp_path: Path) -> None:
    path = from_windows(tmp_path / "midi.toml", '[cc]\n7 = "gain"\n')
    assert MidiBindings(path).bindings["cc", 7] == "gain"


def test_annotations(tmp_path: Path) -> None:
    text = "label,youtube_id,time_start,time_end,split\ntango,abcdefghijk,10,20,train\n"
    rows, troubles = read_annotations(from_windows(tmp_path / "k.csv", text))
    assert [row.key for row in rows] == ["train/tango/abcdefghijk"]
    assert not troubles


def test_a_list_of_clips(tmp_path: Path) -> None:
    path = from_windows(tmp_path / "good.yaml", "tango:\n  - abcdefghijk\n")
    assert [(style, clip) for style, clip, _ in read_list(path)] == [("tango", "abcdefghijk")]


def test_utf_16_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    """What Notepad calls Unicode."""
    path = tmp_path / "file.toml"
    path.write_bytes('[cc]\n7 = "gain"\n'.encode("utf-16"))
    bundle = load_bundle(find_bundle("theremin"))
    for error, read in (
        (LivemoveError, lambda: load_mapping(path, bundle.spec, FEATURES)),
        (ControlError, lambda: set_list([str(path)])),
        (ControlError, lambda: MidiBindings(path)),
        (PostureError, lambda: read_posture(path)),
        (AnnotationError, lambda: read_annotations(path)),
        (ListError, lambda: read_list(path)),
    ):
        with pytest.raises(error, match=r"file\.toml") as caught:
            read()
        assert "\n" not in str(caught.value)
