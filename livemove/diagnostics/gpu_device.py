"""What an NVIDIA GPU can do at most, measured: launches, copies, reads from L2, messages, products, barriers.

In: nothing. Out: plain numbers for the roofline of `livemove.diagnostics.gpu`. Beside synthesis/cuda.py the only file
that imports torch, for its context and timers.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable

import torch

from livemove.synthesis import cuda_cluster

PROBE = cuda_cluster.SOURCE.with_name("cuda_probe.cu")
READ_BYTES = 1 << 20
"""Read again and again by every block: about a model's weights, larger than a first-level cache."""

TIMES = 2000


def describe() -> dict[str, object]:
    """The GPU by its driver's properties."""
    gpu = torch.cuda.get_device_properties(0)
    return {
        "name": gpu.name,
        "capability": [gpu.major, gpu.minor],
        "multiprocessors": gpu.multi_processor_count,
        "l2_bytes": gpu.L2_cache_size,
        "memory_bytes": gpu.total_memory,
        "shared_memory_per_block": gpu.shared_memory_per_block_optin,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def launch_overhead() -> dict[str, float]:
    """Microseconds per launch of an empty kernel: queued one after the other, waited for each, replayed in a graph."""
    empty = torch.zeros(1, device="cuda")

    def one() -> None:
        empty.add_(1)

    graph = torch.cuda.CUDAGraph()
    one()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        for _ in range(100):
            one()

    def waited() -> None:
        one()
        torch.cuda.synchronize()

    return {
        "torch_queued_us": 1e6 * _wall_s(one, 1000),
        "torch_waited_us": 1e6 * _wall_s(waited, 300),
        "graph_node_us": 1e4 * _wall_s(graph.replay, 100),
    }


def copy_gbps() -> dict[str, float]:
    """Gigabytes a second read plus written by copies inside the GPU's memory and its L2, and of uploads."""
    found: dict[str, float] = {}
    for name, size in (("memory", 1 << 31), ("l2", 1 << 23)):
        a, b = (torch.randint(0, 255, (size,), dtype=torch.uint8, device="cuda") for _ in range(2))
        times = 20 if name == "memory" else 400
        found[name] = 2e-9 * size * times / _device_s(lambda a=a, b=b, times=times: [b.copy_(a) for _ in range(times)])
    host, there = (
        torch.empty(1 << 26, dtype=torch.uint8, pin_memory=True),
        torch.empty(1 << 26, dtype=torch.uint8, device="cuda"),
    )
    found["upload"] = (
        1e-9 * (1 << 26) * 10 / _device_s(lambda: [there.copy_(host, non_blocking=True) for _ in range(10)])
    )
    return found


def probe() -> dict[str, float]:
    """Clocks and bandwidths that bound the cluster kernel; see native/cuda_probe.cu."""
    clocks, total = torch.zeros(8, dtype=torch.int64, device="cuda"), torch.zeros(8, device="cuda")
    memory = torch.randint(0, 1 << 30, (READ_BYTES // 4,), dtype=torch.int32, device="cuda")

    module = cuda_cluster.Module(PROBE, (), torch.cuda.get_device_capability())
    stream = torch.cuda.current_stream().cuda_stream

    def pointer(tensor: torch.Tensor) -> ctypes.c_void_p:
        return ctypes.c_void_p(tensor.data_ptr())

    found: dict[str, float] = {}
    nothing = module.function("nothing")
    found["empty_launch_us"] = 1e6 * _wall_s(lambda: cuda_cluster.launch(nothing, 1, 32, 0, stream, []), 1000)
    read, sms = module.function("read_memory"), int(torch.cuda.get_device_properties(0).multi_processor_count)
    for name, grid in (("l2_read_one_multiprocessor_gbps", 1), ("l2_read_all_gbps", 4 * sms)):
        times = 200 if grid == 1 else 50
        words, count = ctypes.c_int(READ_BYTES // 16), ctypes.c_int(times)
        arguments = [pointer(memory), words, count, pointer(total)]
        seconds = _device_s(lambda g=grid, a=arguments: cuda_cluster.launch(read, g, 256, 0, stream, a))
        found[name] = 1e-9 * READ_BYTES * times * grid / seconds
    count = ctypes.c_int(TIMES)
    cuda_cluster.launch(module.function("messages"), 2, 128, 1024, stream, [count, pointer(clocks)])
    torch.cuda.synchronize()
    found["message_one_way_clocks"] = float(clocks[0]) / TIMES / 2
    cuda_cluster.launch(module.function("steps"), 1, 128, 0, stream, [count, pointer(clocks), pointer(total)])
    torch.cuda.synchronize()
    for n, name in enumerate(("product_dependent", "product_in_four_chains", "barrier", "two_barriers_and_exchange")):
        found[f"{name}_clocks"] = float(clocks[n]) / TIMES
    return found


def _wall_s(call: Callable[[], object], times: int) -> float:
    """Seconds per call on the host's clock, the GPU's work included."""
    for _ in range(10):
        call()
    torch.cuda.synchronize()
    began_s = time.perf_counter()
    for _ in range(times):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - began_s) / times


def _device_s(work: Callable[[], object], repeats: int = 5) -> float:
    """Seconds on the GPU's clock, median."""
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    work()
    times_s: list[float] = []
    for _ in range(repeats):
        began.record()
        work()
        ended.record()
        ended.synchronize()
        times_s.append(began.elapsed_time(ended) / 1000)
    return statistics.median(times_s)
