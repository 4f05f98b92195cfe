"""Nodes and constants of an ONNX graph in the making, with short names for what the WaveNet's graph needs.

In: names of values, constants. Out: names of values. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


@dataclass
class Graph:
    """Nodes and initialisers in the order they were made; equal constants are stored once."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initialisers: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = field(default_factory=dict)

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        array = np.array(value, dtype, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.initialisers:
            self.initialisers[key] = numpy_helper.from_array(array, f"constant_{len(self.initialisers)}")
        return self.initialisers[key].name

    def many(self, op: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        names = [f"{op.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names

    def one(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def rows(self, x: str, sizes: int | list[int]) -> list[str]:
        """x cut along its first axis into single rows (a count) or blocks (a list of sizes)."""
        if sizes == 1:
            return [x]
        if isinstance(sizes, int):
            return self.many("Split", x, outputs=sizes, axis=0)
        return self.many("Split", x, self.constant(sizes, np.int64), outputs=len(sizes), axis=0)

    def stack(self, parts: list[str], name: str = "") -> str:
        return self.one("Concat", *parts, axis=0, name=name)

    def dense(self, x: str, weight: Any, add: str) -> str:
        """x @ weight + add; with an activation after it ONNX Runtime makes one FusedGemm of both."""
        return self.one("Gemm", x, self.constant(weight), add)

    def shaped(self, x: str, *shape: int, name: str = "") -> str:
        return self.one("Reshape", x, self.constant(shape, np.int64), name=name)
