"""A generator.onnx of a stranger: what is no plain arithmetic within one file is refused before a runtime sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from livemove.contracts import EngineError
from livemove.synthesis import onnx_trust
from livemove.synthesis.architectures import random_weights
from livemove.synthesis.onnx import OnnxEngine
from livemove.synthesis.onnx_trust import check_graph
from tests.support.bundles import small_spec
from tests.support.paths import ROOT
from training.model import onnx_graph

SPEC = small_spec()
GOOD = onnx_graph.build(SPEC, random_weights(SPEC))

X = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])


def changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_from_string(GOOD)
    change(model)
    return model.SerializeToString()


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    tensor.data_location = TensorProto.EXTERNAL


def external_attribute(model: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.zeros(1, np.float32))
    tensor.data_location = TensorProto.EXTERNAL
    model.graph.node.append(helper.make_node("Cast", ["x"], ["y"], value=tensor))


def branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "inner", [X], [Y])
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", inner))


def function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Neg", ["x"], ["y"])
    model.functions.append(helper.make_function("", "Mul", ["x"], ["y"], [node], [helper.make_opsetid("", 17)]))


def sparse(model: onnx.ModelProto) -> None:
    values, places = (numpy_helper.from_array(np.zeros(1, kind), "v") for kind in (np.float32, np.int64))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [1 << 40]))


HOSTILE: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "loop": (lambda m: m.graph.node.append(helper.make_node("Loop", ["x"], ["y"])), "operator 'Loop'"),
    "memory": (
        lambda m: m.graph.node.append(helper.make_node("ConstantOfShape", ["x"], ["y"])),
        "operator 'ConstantOfShape'",
    ),
    "contrib operator": (
        lambda m: m.graph.node.append(helper.make_node("Gemm", ["x"], ["y"], domain="com.microsoft")),
        "'com.microsoft'",
    ),
    "contrib set": (lambda m: m.opset_import.append(helper.make_opsetid("evil.ops", 1)), "operators of 'evil.ops'"),
    "external data": (external, "lies in another file"),
    "external attribute": (external_attribute, "lies in another file"),
    "branch": (branch, "holds a graph"),
    "function": (function, "functions"),
    "training": (lambda m: m.training_info.add(), "training steps"),
    "sparse": (sparse, "sparse"),
    "no graph": (lambda m: m.ClearField("graph"), "no graph"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_plain_arithmetic_is_refused_before_the_runtime_sees_it(name: str, tmp_path: Path) -> None:
    change, why = HOSTILE[name]
    path = tmp_path / "generator.onnx"
    path.write_bytes(changed(change))
    with pytest.raises(EngineError, match=re.escape(why)) as caught:
        OnnxEngine(SPEC, path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_second_graph_behind_the_first_is_seen() -> None:
    """Protocol Buffers reads a field that is there twice as both together: a node may hide in the second."""
    with pytest.raises(EngineError, match="'Loop'"):
        check_graph(GOOD + changed(HOSTILE["loop"][0]), "twice")
    hidden = onnx.ModelProto()
    hidden.graph.node.append(helper.make_node("Loop", ["x"], ["y"]))
    assert any(n.op_type == "Loop" for n in onnx.load_from_string(GOOD + hidden.SerializeToString()).graph.node)
    with pytest.raises(EngineError, match="'Loop'"):
        check_graph(GOOD + hidden.SerializeToString(), "twice")


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*/generator.onnx")), ids=lambda path: path.parent.name)
def test_every_shipped_graph_passes(path: Path) -> None:
    check_graph(path.read_bytes(), path.name)


def test_the_list_holds_what_the_exporter_writes_and_nothing_else() -> None:
    text = "".join(path.read_text() for path in (ROOT / "training" / "model").glob("onnx_*.py"))
    written = set(re.findall(r'(?:one|many|_node|make_node)\(\s*"([A-Z]\w+)"', text)) | {"Sin", "Cos"}  # by name: f
    assert written == onnx_trust.OPERATORS


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_one_line_or_pass(content: bytes) -> None:
    message = ""
    try:
        check_graph(content, "file")
    except EngineError as error:
        message = str(error)
    assert "\n" not in message


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.booleans())
def test_damage_is_an_engine_error_and_a_loop_never_gets_in(at: int, byte: int, cut: bool) -> None:
    damaged = GOOD[:at] if cut else GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    try:
        check_graph(damaged, "file")
    except EngineError:
        return
    try:
        model = onnx.load_from_string(damaged)
    except Exception:
        return  # what onnx itself cannot read, the runtime refuses
    assert {node.op_type for node in model.graph.node} <= onnx_trust.OPERATORS
