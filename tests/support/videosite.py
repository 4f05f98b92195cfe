"""A site of videos on loopback that behaves as the web does: it stalls, hangs up, refuses, forgets and sends rubbish.

In: what each path shall do. Out: a URL, and what was asked for. Knows nothing of livemove.
"""

from __future__ import annotations

import http.server
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

Answer = Callable[["http.server.BaseHTTPRequestHandler"], None]


class VideoSite:
    """Paths and their behaviours: `serve` a file, `status` a code, `refuse` a few times, `stall`, `hang_up`, `drip`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []
        """(path, monotonic time) of every request but HEADs."""
        self.agents: list[str] = []
        self._answers: dict[str, Answer] = {}
        self._closing = threading.Event()
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked.append((self.path, time.monotonic()))
                self.close_connection = True
                try:
                    site._answers.get(self.path, site.status(404))(self)
                except OSError:
                    return  # the client has gone

            def do_HEAD(self) -> None:
                self.send_error(405)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up is what is tested."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> VideoSite:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()

    def count(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)

    # --- behaviours

    def on(self, path: str, *answers: Answer) -> None:
        """What a path does, one answer after the other, the last one for good."""
        left = list(answers)
        self._answers[path] = lambda request: (left.pop(0) if len(left) > 1 else left[0])(request)

    def serve(self, content: bytes | Path, kind: str = "video/mp4", ranges: bool = True) -> Answer:
        def answer(request: http.server.BaseHTTPRequestHandler) -> None:
            body = content.read_bytes() if isinstance(content, Path) else content
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", "")) if ranges else None
            first, last = (int(asked[1]), int(asked[2] or len(body) - 1)) if asked else (0, len(body) - 1)
            if asked and first >= len(body):
                request.send_error(416)
                return
            part = body[first : last + 1]
            request.send_response(206 if asked else 200)
            request.send_header("Content-Type", kind)
            request.send_header("Content-Length", str(len(part)))
            if asked:
                request.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(body)}")
            request.end_headers()
            request.wfile.write(part)

        return answer

    def status(self, code: int, **headers: str) -> Answer:
        def answer(request: http.server.BaseHTTPRequestHandler) -> None:
            request.send_response(code)
            for name, value in headers.items():
                request.send_header(name.replace("_", "-"), value)
            request.send_header("Content-Length", "0")
            request.end_headers()

        return answer

    def stall(self) -> Answer:
        """Connected, and silent for as long as the test lasts."""
        return lambda request: (self._closing.wait(), None)[1]

    def hang_up(self, content: bytes, after: int) -> Answer:
        """Promise all of it, send the beginning, close."""

        def answer(request: http.server.BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.send_header("Content-Type", "video/mp4")
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content[:after])

        return answer

    def drip(self) -> Answer:
        """Never ending: some bytes now and then, of a length nobody says."""

        def answer(request: http.server.BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.send_header("Content-Type", "video/mp4")
            request.end_headers()
            while not self._closing.wait(0.01):
                request.wfile.write(bytes(4096))

        return answer
