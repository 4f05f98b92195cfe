"""A bundle of a stranger: whatever is in it, it loads or is one line; nothing outside its folder is read or waited for.

Unlike test_bundle.py's damage, everything here has its place in the manifest: it was made to be read.
"""

from __future__ import annotations

import io
import json
import math
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from livemove.bundle import HEADER_LIMIT_BYTES, Bundle, load_bundle
from livemove.contracts import BundleError
from tests.test_bundle import edit_index, refusal, replace_file

here = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

OUT = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")


def loads_or_says_why(folder: Path) -> None:
    """One line, and no other error."""
    message = ""
    try:
        load_bundle(folder)
    except BundleError as error:
        message = str(error)
    assert "\n" not in message


@OUT
@pytest.mark.parametrize("name", ["model.json", "weights.safetensors", "MODEL.md"])
def test_a_link_that_leads_out_is_not_followed(small_bundle: Bundle, tmp_path: Path, name: str) -> None:
    file = small_bundle.path / name
    outside = tmp_path / "outside"
    file.rename(outside)
    file.symlink_to(outside)
    assert f"{name}: place: expected a file in the model's folder" in refusal(small_bundle.path)
    file.unlink()
    file.symlink_to(name)
    assert name in refusal(small_bundle.path)  # to itself


@OUT
def test_a_folder_that_is_a_link_itself_is_no_matter(small_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(small_bundle.path)
    assert load_bundle(tmp_path / "linked").spec == small_bundle.spec


@OUT
def test_what_never_ends_is_not_read(small_bundle: Bundle) -> None:
    file = small_bundle.path / "weights.safetensors"
    file.unlink()
    os.mkfifo(file)
    assert "weights.safetensors: kind: expected a plain file" in refusal(small_bundle.path)


NUMBERS: dict[str, str] = {
    "thousands of digits": "9" * 5000,
    "too large for a float": "1" + "0" * 400,
    "infinite": "1e999",
    "nan": "NaN",
    "negative": "-1e308",
    "denormal": "5e-324",
    "minus zero": "-0.0",
    "text": '"48000"',
    "nothing": "null",
    "true": "true",
}


@pytest.mark.parametrize("field", ["sample_rate", "temperature", "pqmf_taps"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_out_of_this_world_is_one_line(small_bundle: Bundle, field: str, name: str) -> None:
    file = small_bundle.path / "model.json"
    value = json.loads(file.read_text())["spec"][field]
    file.write_text(file.read_text().replace(f'"{field}": {json.dumps(value)}', f'"{field}": {NUMBERS[name]}'))
    if (field, name) == ("temperature", "denormal"):
        loads_or_says_why(small_bundle.path)  # above 0 it is
    else:
        assert "model.json" in refusal(small_bundle.path)


@pytest.mark.parametrize("text", ["a\x1b[2J", "line\nbreak", "\u202egnp.exe", "x" * 300])
def test_a_name_that_would_play_with_the_terminal_is_refused(small_bundle: Bundle, text: str) -> None:
    edit_index(small_bundle.path, lambda index: index["spec"].update(name=text))
    message = refusal(small_bundle.path)
    assert "printable characters" in message
    assert message.isascii()


def zipped(change: Callable[[zipfile.ZipInfo], object]) -> bytes:
    out = io.BytesIO()
    content = io.BytesIO()
    np.save(content, np.zeros(1, np.float32))
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("channels", "noise", "audio", "style", "temperature"):
            archive.writestr(f"{name}.npy", content.getvalue())
    packed = bytearray(out.getvalue())
    with zipfile.ZipFile(io.BytesIO(bytes(packed))) as archive:
        begin = archive.start_dir
    change_at = begin  # the first entry of the central directory
    info = zipfile.ZipInfo()
    change(info)
    struct.pack_into("<HH", packed, change_at + 8, info.flag_bits, info.compress_type)
    return bytes(packed)


def npy(header: str) -> bytes:
    padded = header.encode() + b" " * ((-len(header) - 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded


def golden_of(member: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("channels", "noise", "audio", "style", "temperature"):
            archive.writestr(f"{name}.npy", member)
    return out.getvalue()


GOLDENS: dict[str, bytes] = {
    "a password": zipped(lambda info: setattr(info, "flag_bits", 1)),
    "unknown packing": zipped(lambda info: setattr(info, "compress_type", 99)),
    "packed, it says": zipped(lambda info: setattr(info, "compress_type", 8)),
    "a terabyte": golden_of(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (274877906944,), }")),
    "more than there are": golden_of(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2" + "0" * 30 + ",), }")),
    "a negative shape": golden_of(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }")),
    "objects": golden_of(npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") + b"cos\nsystem\n(S'id'\ntR."),
    "a header that is no literal": golden_of(npy("__import__('os').system('id')")),
    "a deep header": golden_of(npy("(" * 5000)),
    "a header cut off": golden_of(b"\x93NUMPY\x01\x00\xff\xff{"),
}


@pytest.mark.parametrize("name", GOLDENS)
def test_a_golden_vector_that_was_made_to_be_read_is_one_line(small_bundle: Bundle, name: str) -> None:
    replace_file(small_bundle.path, "golden.npz", GOLDENS[name])
    assert "golden.npz" in refusal(small_bundle.path)


headers = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 65), 1 << 65) | st.floats(allow_subnormal=False)
    | st.text(max_size=8)
    | st.sampled_from(["F16", "F64", "U8", "BOOL", "nothing"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "skip.bias", "__metadata__", "x"]), inner),
    max_leaves=20,
)  # fmt: skip


@here
@given(header=headers, length=st.integers(-10, 10) | st.sampled_from([1 << 20, 1 << 40, 1 << 63, (1 << 64) - 11]))
@example(header={"skip.bias": {"dtype": "F16", "shape": [1 << 62, 4], "data_offsets": [0, 32]}}, length=0)
@example(header={"skip.bias": {"dtype": "F16", "shape": [16], "data_offsets": [1 << 60, (1 << 60) + 32]}}, length=0)
@example(header={"a": {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]},
                 "b": {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]}}, length=0)  # fmt: skip
def test_any_safetensors_header_is_one_line(small_bundle: Bundle, header: Any, length: int) -> None:
    """length: what the header's own length is said to be, more than it is."""
    whole = (small_bundle.path / "weights.safetensors").read_bytes()
    size = struct.unpack("<Q", whole[:8])[0]
    text = json.dumps(header).encode()
    said = (len(text) + length) % (1 << 64)
    try:
        replace_file(small_bundle.path, "weights.safetensors", struct.pack("<Q", said) + text + whole[8 + size :])
        assert "weights.safetensors" in refusal(small_bundle.path)
    finally:
        replace_file(small_bundle.path, "weights.safetensors", whole)


def test_a_header_of_megabytes_is_not_parsed(small_bundle: Bundle) -> None:
    whole = (small_bundle.path / "weights.safetensors").read_bytes()
    filled = b" " * (HEADER_LIMIT_BYTES + 1)
    replace_file(small_bundle.path, "weights.safetensors", struct.pack("<Q", len(filled)) + filled + whole)
    assert "weights.safetensors: size" in refusal(small_bundle.path)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inside for place in places(each, (*path, key)))]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_subnormal=False)
    | st.text(max_size=12)
    | st.just(1 << 70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@here
@given(data=st.data())
def test_any_change_to_model_json_is_one_line(small_bundle: Bundle, data: st.DataObject) -> None:
    file = small_bundle.path / "model.json"
    intact = file.read_text()
    index = json.loads(intact)
    place = data.draw(st.sampled_from(places(index)[1:]))
    at = index
    for key in place[:-1]:
        at = at[key]
    if data.draw(st.booleans()):
        at[place[-1]] = data.draw(json_values)
    else:
        del at[place[-1]]
    try:
        file.write_text(json.dumps(index))
        loads_or_says_why(small_bundle.path)
    finally:
        file.write_text(intact)


@here
@given(content=st.binary(max_size=300))
def test_any_bytes_for_model_json_are_one_line(small_bundle: Bundle, content: bytes) -> None:
    file = small_bundle.path / "model.json"
    intact = file.read_bytes()
    try:
        file.write_bytes(content)
        assert "model.json" in refusal(small_bundle.path)
    finally:
        file.write_bytes(intact)


def test_no_field_of_a_spec_can_ask_for_more_memory_than_its_weights_have(small_bundle: Bundle) -> None:
    """Every size is bounded, and the weights must be there for it: a small file cannot claim a large network."""
    largest = {"residual": 1024, "skip": 4096, "hidden": 4096, "conditioning": 1024, "dilations": [65536] * 128}
    edit_index(small_bundle.path, lambda index: index["spec"].update(largest))
    message = refusal(small_bundle.path)
    assert "weights.safetensors: size" in message
    assert math.isfinite(float(message.split("expected ")[1].split()[0]))
