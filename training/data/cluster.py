"""Ray, for what is larger than a machine: a cluster that RAY_ADDRESS names, or a small one made here and ended again.

In: how many workers a local one has. Out: the ray module, connected. Knows neither clips nor training.
"""

from __future__ import annotations

import contextlib
import os
import socket
import urllib.parse
from collections.abc import Generator
from pathlib import Path
from typing import Any

from livemove.contracts import LivemoveError

OBJECTS_BYTES = 100 * 2**20
"""Of memory for objects that tasks share: ours are rows and figures."""


class ClusterError(LivemoveError):
    """Ray is not there, or its cluster gives no answer."""


@contextlib.contextmanager
def connected(workers: int) -> Generator[Any]:
    """The ray module. Nodes need livemove installed with its train and cluster extras. Raises ClusterError."""
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _check_answers(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked for it to tell its makers
    try:
        import ray
    except ImportError as error:
        raise ClusterError("Ray is not installed: pip install 'livemove[cluster]'") from error
    here = str(Path(__file__).resolve().parents[2])
    options: dict[str, Any] = {"address": address} if address else {
        "address": "local", "num_cpus": workers, "object_store_memory": OBJECTS_BYTES, "include_dashboard": False,
    }  # fmt: skip
    try:
        ray.init(**options, log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": {"PYTHONPATH": here}})
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(
            f"Ray cluster {address or 'on this machine'}: {' '.join(str(error).split())[:200]}"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Ray itself would try for many minutes. Raises ClusterError."""
    parts = urllib.parse.urlsplit(address if "://" in address else f"//{address}")
    if not parts.port:
        return  # "auto", or a name Ray looks up
    try:
        socket.create_connection((parts.hostname or "", parts.port), timeout=10).close()
    except OSError as error:
        raise ClusterError(f"Ray cluster {address} (RAY_ADDRESS): {error.strerror or error}") from error
