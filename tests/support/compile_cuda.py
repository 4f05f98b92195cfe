"""Compiles the cuda engine's network for a GPU that need not be here, in a process whose Triton does not interpret.

In, on stdin, as JSON: types of the arguments, compile-time constants, compute capability. Out, likewise: PTX, bytes of
shared memory. A program of its own because Triton decides at its import whether it interprets.
"""

from __future__ import annotations

import json
import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from livemove.synthesis import cuda_kernels

plan = json.load(sys.stdin)
names = cuda_kernels.network.arg_names
types = dict(zip([name for name in names if name not in plan["constants"]], plan["types"], strict=True))
source = ASTSource(
    fn=cuda_kernels.network,
    signature={name: types.get(name, "constexpr") for name in names},
    constexprs={(names.index(name),): value for name, value in plan["constants"].items()},
    attrs={(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if types.get(name, "").startswith("*")},
)
compiled = triton.compile(source, target=GPUTarget("cuda", plan["architecture"], 32), options={"num_warps": 4})
json.dump({"ptx": compiled.asm["ptx"], "shared": compiled.metadata.shared}, sys.stdout)
