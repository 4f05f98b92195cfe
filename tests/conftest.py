"""Fixtures that tests of several packages share: real material, bundles, a JACK server, doubles for a session.

Material that cannot be fetched skips its tests with the reason; with CI=true it fails them instead.
"""

from __future__ import annotations

import getpass
import os
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from livemove.bundle import Bundle
from livemove.capture.posemodel import find_pose_model
from livemove.contracts import PoseModelError
from livemove.ipc.segment import Segment
from livemove.session import supervisor
from tests.support import material
from tests.support.bundles import random_bundle, small_spec
from tests.support.real_time import TRIED_AGAIN
from tests.support.servers import Jack
from tests.support.unavailable import unavailable

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch: the other workers have the other cores
    # librosa keeps compiled functions beside its code. Workers that compile the same one at once leave an index and a
    # function that do not belong together, and whoever loads them dies of a segmentation fault.
    cache = Path(tempfile.gettempdir()) / f"livemove-numba-{getpass.getuser()}-{os.environ['PYTEST_XDIST_WORKER']}"
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache))

MOST_TRIES = 12
"""How often, in a whole run, live tests may be tried again because the machine stood still. Chosen, not measured: a
fifth of the 55 live tests; a machine on which it takes more of them shows nothing about time."""

settings.register_profile("default", max_examples=60)
settings.load_profile("default")
"""`python -m tests.faults.fuzz` looks for longer."""

signal.signal(signal.SIGINT, signal.default_int_handler)
"""Started in the background of a script, we would ignore Ctrl-C, and so would every command the tests press it on."""


@pytest.fixture(scope="session")
def dancer_clip() -> Path:
    """See `material.fetch_dancer`."""
    try:
        return material.fetch_dancer()
    except material.Unavailable as reason:
        unavailable(str(reason))


@pytest.fixture(scope="session")
def pose_model() -> Path:
    """MediaPipe's full landmarker, fetched the way livemove itself does."""
    try:
        return find_pose_model("full")
    except PoseModelError as reason:
        unavailable(str(reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"live tests tried again: {len(_tries(terminalreporter))}, at most {MOST_TRIES}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI more tries than that are a failure: a bound that is always met by trying again is none."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    tries = len(_tries(reporter)) if reporter is not None else 0
    if os.environ.get("CI") == "true" and tries > MOST_TRIES and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _tries(reporter: pytest.TerminalReporter) -> list[object]:
    return [each for each in reporter.stats.get("warnings", []) if TRIED_AGAIN in each.message]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test on real material that skips, for whatever reason, has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and item.get_closest_marker("real"):
        report.outcome = "failed"
    return report


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment.create()
    yield made
    made.close()
    made.unlink()


@pytest.fixture
def small_bundle(tmp_path: Path) -> Bundle:
    return random_bundle(tmp_path / "small", small_spec())


@pytest.fixture(scope="module")
def jack() -> Iterator[Jack]:
    with Jack() as server:
        yield server


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("models") / "small", small_spec()).path


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(supervisor.MODULES, "capture", "tests.support.double_capture")
    monkeypatch.setitem(supervisor.MODULES, "synthesis", "tests.support.double_synthesis")


@pytest.fixture
def silent_house(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sound server anywhere."""
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "livemove-nobody")
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent")
