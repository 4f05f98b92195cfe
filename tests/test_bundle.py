"""Bundles: what is saved is what is loaded, and anything else is one clear line naming file and field."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as write_safetensors

from livemove import bundle as bundles
from livemove.bundle import Bundle, as_stored, find_bundle, list_bundles, load_bundle, save_bundle
from livemove.contracts import FORMAT_VERSION, BundleError, OutputError
from livemove.synthesis.architectures import classic, random_weights, stage
from tests.support.bundles import random_bundle, small_spec


def edit_index(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    index = json.loads((folder / "model.json").read_text())
    change(index)
    (folder / "model.json").write_text(json.dumps(index))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Change a file and its manifest entry, as a broken exporter would."""
    (folder / name).write_bytes(content)
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_index(folder, lambda index: index["files"].update({name: entry}))


def edit_weights(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    tensors = parse_safetensors((folder / "weights.safetensors").read_bytes())
    change(tensors)
    replace_file(folder, "weights.safetensors", write_safetensors(tensors))


def edit_golden(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    with np.load(folder / "golden.npz") as archive:
        arrays = dict(archive)
    change(arrays)
    out = io.BytesIO()
    np.savez(out, **arrays)
    replace_file(folder, "golden.npz", out.getvalue())


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("spec", [small_spec(), stage("theremin"), classic()], ids=lambda s: s.name)
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, spec: Any) -> None:
    saved = random_bundle(tmp_path / spec.name, spec, onnx=b"graph")
    loaded = load_bundle(tmp_path / spec.name)
    assert loaded.spec == spec
    expected = as_stored(random_weights(spec))
    assert set(loaded.weights) == set(expected)
    for name, w in expected.items():
        np.testing.assert_array_equal(loaded.weights[name], w)
        assert loaded.weights[name].dtype == np.float32
    np.testing.assert_array_equal(loaded.golden.audio, saved.golden.audio)
    assert loaded.golden.temperature == spec.temperature
    assert loaded.onnx_path is not None
    assert loaded.onnx_path.read_bytes() == b"graph"


def test_a_bundle_without_graph_has_none(small_bundle: Bundle) -> None:
    assert small_bundle.onnx_path is None


def test_save_replaces_an_older_bundle_and_leaves_nothing_behind(tmp_path: Path) -> None:
    random_bundle(tmp_path / "m", small_spec(), seed=1, onnx=b"old graph")
    new = random_bundle(tmp_path / "m", small_spec(), seed=2)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert new.onnx_path is None
    assert not (tmp_path / "m" / "generator.onnx").exists()


def test_save_refuses_what_it_could_not_load_and_keeps_the_old(tmp_path: Path, small_bundle: Bundle) -> None:
    broken = dict(small_bundle.weights)
    broken["head.bias_1"] = np.full_like(broken["head.bias_1"], 1e9)  # infinite in float16
    with pytest.raises(BundleError, match=r"head\.bias_1 values: expected finite"):
        save_bundle(small_bundle.path, small_bundle.spec, broken, small_bundle.golden, None, "", "")
    assert load_bundle(small_bundle.path).spec == small_bundle.spec
    assert [p.name for p in tmp_path.iterdir()] == ["small"]


def test_save_into_a_file_is_an_output_error(tmp_path: Path, small_bundle: Bundle) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file/m: cannot be written"):
        random_bundle(tmp_path / "file" / "m", small_spec())


def test_a_missing_folder_lists_what_exists(monkeypatch: pytest.MonkeyPatch, small_bundle: Bundle) -> None:
    monkeypatch.setattr(bundles, "bundle_folders", lambda: [small_bundle.path.parent])
    with pytest.raises(BundleError, match="no model folder or name 'theremim'; models found: small"):
        load_bundle("theremim")


def test_a_folder_without_index_says_so(tmp_path: Path) -> None:
    assert "no model.json in this folder" in refusal(tmp_path)


def test_a_bundle_is_found_by_name_and_by_path(monkeypatch: pytest.MonkeyPatch, small_bundle: Bundle) -> None:
    monkeypatch.setattr(bundles, "bundle_folders", lambda: [small_bundle.path.parent])
    assert list_bundles() == [small_bundle.path]
    assert find_bundle("small") == find_bundle(small_bundle.path) == small_bundle.path


BREAKAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights missing": (
        lambda f: (f / "weights.safetensors").unlink(),
        "weights.safetensors: cannot be read: the",
    ),
    "weights truncated": (
        lambda f: (f / "weights.safetensors").write_bytes((f / "weights.safetensors").read_bytes()[:-100]),
        "weights.safetensors: size: expected",
    ),
    "mapping edited": (lambda f: (f / "mapping.toml").write_text("[x]"), "--mapping FILE"),
    "one bit flipped": (
        lambda f: (f / "MODEL.md").write_bytes(b"%" + (f / "MODEL.md").read_bytes()[1:]),
        "MODEL.md: sha256: expected",
    ),
    "newer format": (
        lambda f: edit_index(f, lambda i: i.update(format_version=FORMAT_VERSION + 1)),
        f"format_version: expected at most {FORMAT_VERSION}, found {FORMAT_VERSION + 1}: the model is newer than this "
        "livemove; update livemove",
    ),
    "not json": (lambda f: (f / "model.json").write_text("{"), "model.json: content: expected JSON"),
    "json list": (lambda f: (f / "model.json").write_text("[]"), "model.json: content: expected an object"),
    "deep json": (lambda f: (f / "model.json").write_text("[" * 100000), "model.json: content: expected JSON"),
    "huge index": (lambda f: (f / "model.json").write_text(" " * (2 << 20)), "model.json: size: expected at most"),
    "no spec": (
        lambda f: edit_index(f, lambda i: i.pop("spec")),
        "model.json: spec: expected an object, found n",
    ),
    "file not listed": (lambda f: edit_index(f, lambda i: i["files"].pop("golden.npz")), "files: expected golden.npz"),
    "file outside": (
        lambda f: edit_index(f, lambda i: i["files"].update({"../x": {"bytes": 1, "sha256": "0" * 64}})),
        "files: expected only",
    ),
    "bad hash": (
        lambda f: edit_index(f, lambda i: i["files"]["MODEL.md"].update(sha256="yes")),
        "files.MODEL.md.sha256: expected 64",
    ),
    "wrong shape": (
        lambda f: edit_weights(f, lambda w: w.update({"skip.bias": np.zeros((4, 2), np.float16)})),
        "weights.safetensors: skip.bias shape: expected [16], found [4, 2]",
    ),
    "wrong dtype": (
        lambda f: edit_weights(f, lambda w: w.update({"skip.bias": np.zeros(16, np.float32)})),
        "weights.safetensors: skip.bias dtype: expected float16, found float32",
    ),
    "missing tensor": (
        lambda f: edit_weights(f, lambda w: w.update({"skip.offset": w.pop("skip.bias")})),
        "missing skip.bias; unknown skip.offset",
    ),
    "NaN weight": (
        lambda f: edit_weights(f, lambda w: w["input.bias"].__setitem__(3, np.nan)),
        "weights.safetensors: input.bias values: expected finite numbers, found 1 NaN or infinite of 16",
    ),
    "not safetensors": (
        lambda f: replace_file(f, "weights.safetensors", bytes((f / "weights.safetensors").stat().st_size)),
        "weights.safetensors: content: expected safetensors",
    ),
    "weights of another size": (
        lambda f: replace_file(f, "weights.safetensors", b"1234"),
        "bytes of float16 tensors and a header, found 4 bytes",
    ),
    "golden not npz": (lambda f: replace_file(f, "golden.npz", b"PK nothing"), "golden.npz: content: expected an npz"),
    "golden pickled": (
        lambda f: edit_golden(f, lambda g: g.update(audio=np.array([print], object))),
        "golden.npz: content: expected an npz of plain arrays",
    ),
    "golden with more": (lambda f: edit_golden(f, lambda g: g.update(more=np.zeros(1))), "golden.npz: names: expected"),
    "golden short": (
        lambda f: edit_golden(f, lambda g: g.update(audio=g["audio"][:-1])),
        "golden.npz: audio shape: expected [512], found [511]",
    ),
    "golden NaN": (
        lambda f: edit_golden(f, lambda g: g["noise"].__setitem__((0, 0), np.inf)),
        "golden.npz: noise values: expected finite",
    ),
    "golden style": (
        lambda f: edit_golden(f, lambda g: g.update(style=np.int64(3))),
        "golden.npz: style: expected 0..",
    ),
    "golden huge": (
        lambda f: edit_golden(f, lambda g: g.update(audio=np.zeros((1 << 24) + 1, np.float32))),
        "golden.npz: size: expected at most",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGE, ids=lambda name: name.replace(" ", "-"))
def test_a_broken_bundle_names_file_and_field(small_bundle: Bundle, breakage: str) -> None:
    break_it, expected = BREAKAGE[breakage]
    break_it(small_bundle.path)
    assert expected in refusal(small_bundle.path)


def test_a_compressed_bomb_is_refused_before_it_is_unpacked(small_bundle: Bundle) -> None:
    bomb = io.BytesIO()
    np.savez_compressed(bomb, audio=np.zeros((1 << 24) + 1, np.float32))
    assert len(bomb.getvalue()) < 1 << 20
    replace_file(small_bundle.path, "golden.npz", bomb.getvalue())
    assert "golden.npz: unpacked size: expected at most" in refusal(small_bundle.path)


SPEC_CHANGES: list[tuple[dict[str, object], str]] = [
    ({"bands": 3}, "spec.bands: expected a divisor of the hop (256), found 3"),
    ({"bands": 0}, "spec.bands: expected 1..64, found 0"),
    ({"bands": "16"}, "spec.bands: expected a value of type int, found '16'"),
    ({"bands": True}, "spec.bands: expected a value of type int, found True"),
    ({"head": "gaussian"}, "spec.head: expected mulaw or logistic, found 'gaussian'"),
    ({"head": "mulaw", "classes": 256}, "spec.bands: expected 1 for a mulaw head, found 16"),
    ({"mixtures": 0}, "spec.mixtures: expected 1..64, found 0"),
    ({"residual": 1 << 40}, "spec.residual: expected 1..1024"),
    ({"sample_rate": 1}, "spec.sample_rate: expected 8000..192000, found 1"),
    ({"dilations": []}, "spec.dilations: expected 1..128 layers"),
    ({"dilations": [1, -2]}, "spec.dilations: expected 1..128 layers"),
    ({"dilations": [1, 2.5]}, "spec.dilations.1: expected a value of type int, found 2.5"),
    ({"pqmf_taps": 161}, "spec.pqmf_taps: expected a multiple of bands (16)"),
    ({"temperature": float("nan")}, "spec.temperature: nan is not a finite number"),
    ({"channels": []}, "spec.channels: expected 1..256 channels"),
    ({"channels": [7]}, "spec.channels.0: expected an object, found int"),
    ({"phase": {"channel": "height", "harmonics": 4}}, "spec.phase: expected a channel of pitch, loudness, brightness"),
    ({"phase": [1]}, "spec.phase: expected an object, found list"),
    ({"styles": ["tango", "tango"]}, "spec.styles: expected at most 1024 different names"),
    ({"speed": 1}, "spec: expected only the fields of format 2, found unknown speed"),
    ({"name": None}, "spec.name: expected a value of type str, found None"),
]


@pytest.mark.parametrize(("change", "expected"), SPEC_CHANGES, ids=[str(c) for c, _ in SPEC_CHANGES])
def test_a_spec_without_sense_names_its_field(small_bundle: Bundle, change: dict[str, object], expected: str) -> None:
    edit_index(small_bundle.path, lambda index: index["spec"].update(change))
    assert expected in refusal(small_bundle.path)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("minimum", 99.0, "spec.channels.pitch: expected minimum below maximum, found 99.0..81.0"),
        ("rest", 0.0, "spec.channels.pitch.rest: expected 57.0..81.0, found 0.0"),
        ("name", "loudness", "spec.channels: expected 1..256 channels with different names"),
        ("maximum", "loud", "spec.channels.0.maximum: expected a value of type float, found 'loud'"),
    ],
)
def test_a_channel_without_sense_names_its_field(
    small_bundle: Bundle, field: str, value: object, expected: str
) -> None:
    edit_index(small_bundle.path, lambda index: index["spec"]["channels"][0].update({field: value}))
    assert expected in refusal(small_bundle.path)


def test_every_spec_field_is_needed(small_bundle: Bundle) -> None:
    for field in dataclasses.fields(small_bundle.spec):
        if field.name in ("phase", "harmonic_path", "gate"):  # null and absent both mean none
            continue
        copy = small_bundle.path.with_name("copy")
        shutil.copytree(small_bundle.path, copy)
        edit_index(copy, lambda index, name=field.name: index["spec"].pop(name))
        assert f"spec.{field.name}: expected" in refusal(copy)
        shutil.rmtree(copy)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_any_file_is_refused_with_one_line(small_bundle: Bundle, data: st.DataObject) -> None:
    folder = small_bundle.path
    file = folder / data.draw(st.sampled_from(sorted(p.name for p in folder.iterdir() if p.name != "model.json")))
    intact = file.read_bytes()
    at = data.draw(st.integers(0, len(intact) - 1))
    damaged = data.draw(st.sampled_from([intact[:at], intact[:at] + bytes([intact[at] ^ 1]) + intact[at + 1 :]]))
    try:
        file.write_bytes(damaged)
        assert file.name in refusal(folder)
    finally:
        file.write_bytes(intact)


def test_what_was_measured_travels_with_a_bundle_and_is_checked(small_bundle: Bundle) -> None:
    b = small_bundle
    assert b.figures == {}
    assert not b.ignores_channels
    for shuffled, ignores in ((1.5, False), (1.0, True), (0.5, True)):
        measured = {"nll_bits": 1.0, "nll_bits_shuffled": shuffled, "ranges": {"": {"pitch": [40, 60]}}}
        saved = save_bundle(b.path, b.spec, b.weights, b.golden, None, None, "# m\n", measured, b"\x89PNG")
        assert saved.figures == measured
        assert saved.ignores_channels == ignores
    with pytest.raises(BundleError, match=r"figures\.json: nll_bits"):
        save_bundle(b.path, b.spec, b.weights, b.golden, None, None, "# m\n", {"nll_bits": "low"})
    assert load_bundle(b.path).figures["nll_bits_shuffled"] == 0.5  # the older one is still there
