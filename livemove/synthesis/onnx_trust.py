"""Whether a generator.onnx may be given to a runtime: a graph of plain arithmetic that is whole in itself.

In: the bytes of a file that may be a stranger's. Out: nothing, or one EngineError. Reads just as much of Protocol
Buffers' wire format and of onnx.proto as the question needs, so that the instrument needs no onnx package; executes and
allocates nothing. Must not know onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

from livemove.contracts import EngineError

OPERATORS = {
    *("Abs", "Add", "ArgMax", "Cast", "Clip", "Concat", "Cos", "CumSum", "Div", "Exp", "Floor", "Gather", "Gemm"),
    *("HardSigmoid", "Log", "MatMul", "Max", "Min", "Mul", "Neg", "Pow", "ReduceSum", "Relu", "Reshape", "Sigmoid"),
    *("Sin", "Softmax", "Split", "Sub", "Tanh", "Unsqueeze"),
}
"""All that training/model/onnx_graph.py has ever written. None of them branches, loops, calls, or reads a file."""

DOMAINS = ("", "ai.onnx")
NODES = 100_000
"""theremin-full's graph has 1,400."""

GRAPH, OPSETS, TRAINING, FUNCTIONS = 7, 8, 20, 25
"""Fields of ModelProto, then of GraphProto, NodeProto, AttributeProto, TensorProto and OperatorSetIdProto."""
NODE, INITIALIZER, SPARSE_INITIALIZER = 1, 5, 15
OPERATOR, ATTRIBUTE, DOMAIN, OVERLOAD = 4, 5, 7, 8
TENSOR, SUBGRAPH, TENSORS, SUBGRAPHS, SPARSE, SPARSES = 5, 6, 10, 11, 22, 23
EXTERNAL_DATA, DATA_LOCATION = 13, 14
OPSET_DOMAIN = 1

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5


def check_graph(content: bytes, source: str) -> None:
    """Raises EngineError, which begins with source, for what no livemove model is: an operator or a set of them that is
    not OPERATORS', a graph in a node, a function, tensors that lie in another file, or no ONNX file at all.
    """

    def refuse(what: str) -> NoReturn:
        raise EngineError(f"{source}: {what}; a model's graph is plain arithmetic, as training/export.py writes it")

    model = memoryview(content)
    try:
        graphs = list(_messages(model, GRAPH))
        if not graphs:
            refuse("there is no graph in it")
        if any(field in (TRAINING, FUNCTIONS) for field, _, _ in _fields(model)):
            refuse("it brings functions or training steps of its own")
        for opset in _messages(model, OPSETS):
            for domain in _messages(opset, OPSET_DOMAIN):
                if _text(domain) not in DOMAINS:
                    refuse(f"it needs the operators of {_text(domain)!r}")
        nodes = 0
        for graph in graphs:  # a field that is there twice is read as both together
            for field, kind, value in _fields(graph):
                if field == SPARSE_INITIALIZER:
                    refuse("it holds sparse tensors")
                if kind != BYTES:
                    continue
                if field == INITIALIZER:
                    _check_tensor(value, refuse)
                if field == NODE:
                    nodes += 1
                    _check_node(value, refuse)
        if nodes > NODES:
            refuse(f"it has {nodes} nodes, expected at most {NODES}")
    except (ValueError, IndexError) as error:
        raise EngineError(f"{source}: not an ONNX model ({error}); export it again") from error


def _check_node(node: memoryview, refuse: Callable[[str], NoReturn]) -> None:
    for field, kind, value in _fields(node):
        if kind != BYTES:
            continue
        if field == OPERATOR and _text(value) not in OPERATORS:
            refuse(f"it has the operator {_text(value)!r}")
        if (field == DOMAIN and _text(value) not in DOMAINS) or (field == OVERLOAD and len(value)):
            refuse(f"it has an operator of {_text(value)!r}")
        if field == ATTRIBUTE:
            for name, _, inside in _fields(value):
                if name in (SUBGRAPH, SUBGRAPHS, SPARSE, SPARSES):
                    refuse("a node of it holds a graph or a sparse tensor")
                if name in (TENSOR, TENSORS):
                    _check_tensor(inside, refuse)


def _check_tensor(tensor: memoryview, refuse: Callable[[str], NoReturn]) -> None:
    for field, _, value in _fields(tensor):
        if field == EXTERNAL_DATA or (field == DATA_LOCATION and bytes(value) != b"\0"):
            refuse("a tensor of it lies in another file")


def _text(value: memoryview) -> str:
    """At most 40 characters of it, for comparing and for a message: no operator or domain of ours is longer."""
    return bytes(value[:41]).decode(errors="replace")


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """All values of one field that have a length: messages and texts."""
    return (value for field, kind, value in _fields(message) if field == wanted and kind == BYTES)


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """(number, wire type, its bytes) of every field of a message, in order. Raises ValueError where it is damaged.

    See protobuf.dev/programming-guides/encoding.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, kind = key >> 3, key & 7
        begin = at
        if kind == VARINT:
            _, at = _varint(message, at)
        elif kind == BYTES:
            length, begin = _varint(message, at)
            at = begin + length
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            at += 8 if kind == EIGHT_BYTES else 4
        else:
            raise ValueError(f"a field of wire type {kind}")
        if at > len(message) or not field:
            raise ValueError("a field that is cut off")
        yield field, kind, message[begin:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """(value, where it ends)."""
    value = 0
    for place in range(10):
        byte = message[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number that does not end")
