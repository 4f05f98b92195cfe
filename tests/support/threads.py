"""A thread for what gives up the network for good: with it, every test after it would have lost its sockets."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def on_a_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work` returns or raises, called on a thread that ends with it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work, *arguments).result()
