"""A network camera on loopback: HTTP motion JPEG that can stall, freeze and drop on cue.

In: the mode, set from the test's thread. Out: a URL. Knows nothing of livemove.
"""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable
from types import TracebackType

import cv2
import numpy as np

FPS = 25.0


class NetworkCamera:
    """mode: "play" moving images, "freeze" the same one again, "stall" connected but silent, "drop" hangs up, "black"
    and "grey" (covered) with a sensor's noise, "corrupt" bytes that are no image, "damaged" images whose middle is
    noise, "cut" images whose second half is missing, "slow" 4 a second.

    draw: makes each image, uint8 RGB, at the moment it is sent; None: noise. fps: how many a second. Both may be
    changed while it plays.
    """

    def __init__(self, mode: str = "play", draw: Callable[[], np.ndarray] | None = None, fps: float = FPS) -> None:
        self.mode = mode
        self.draw = draw or self._noise
        self.fps = fps
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._rng = np.random.default_rng(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/camera.mjpg"

    def __enter__(self) -> NetworkCamera:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()

    def serve(self, request: http.server.BaseHTTPRequestHandler) -> None:
        try:
            if self.mode == "drop":
                return
            while self.mode == "stall" and not self._closing.wait(0.02):
                pass
            request.send_response(200)
            request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            request.end_headers()
            jpeg = self._picture()
            while self.mode != "drop" and not self._closing.is_set():
                if self.mode == "stall":
                    time.sleep(0.02)
                    continue
                jpeg = jpeg if self.mode == "freeze" else self._picture()
                if self.mode == "corrupt":
                    jpeg = self._rng.bytes(len(jpeg))
                elif self.mode == "cut":
                    jpeg = jpeg[: len(jpeg) // 2]
                elif self.mode == "damaged":
                    jpeg = jpeg[:200] + self._rng.bytes(len(jpeg) - 220) + jpeg[-20:]
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                request.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(0.25 if self.mode == "slow" else 1 / self.fps)
        except OSError:
            return  # the client has gone

    def _picture(self) -> bytes:
        image = self.draw()
        if self.mode in ("black", "grey"):
            noise = self._rng.integers(0, 6, image.shape, np.uint8)
            image = noise + np.uint8(0 if self.mode == "black" else 90)
        return cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes()

    def _noise(self) -> np.ndarray:
        return self._rng.integers(0, 255, (96, 128, 3), np.uint8)
