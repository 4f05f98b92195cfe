"""OSCQuery: what can be sent by OSC, told over HTTP to programs that ask (Chataigne, ossia score, TouchDesigner).

In: HTTP requests from anywhere the address is heard, good ones and bad ones. Out: JSON, read only. A thread of its own;
whoever floods it, is slow or sends rubbish waits for himself alone. Knows no OSC packet and no shared memory. The
service is not announced (mDNS): nobody is told of it who does not ask.
https://github.com/Vidvox/OSCQueryProposal
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from livemove.contracts import ControlError
from livemove.control.osc_namespace import Node, find

ATTRIBUTES = ("FULL_PATH", "CONTENTS", "DESCRIPTION", "ACCESS", "TYPE", "VALUE", "RANGE", "UNIT", "OVERLOADS")
"""What may be asked for alone, as in /livemove/gain?VALUE."""
HOST_INFO = "HOST_INFO"

HEAD_BYTES = 8192
"""The longest request, headers and all."""
REQUEST_S = 5.0
"""From the connection to the answer's last byte; who is slower is cut off."""
MOST_AT_ONCE = 32
"""Connections; further ones are closed at once."""
REST_S = 0.004
"""After every answer: a flood of requests costs a fifth of a core at most."""


class OscQuery:
    """A server at one TCP address. tree: gives the namespace as it is now; called on the server's thread."""

    def __init__(self, host: str, port: int, osc_port: int, tree: Callable[[], Node]) -> None:
        """osc_port: where OSC itself is heard, of the same host. Raises ControlError when the port is taken."""
        self._tree = tree
        self._info = {
            "NAME": "livemove",
            "OSC_PORT": osc_port,
            "OSC_TRANSPORT": "UDP",
            "EXTENSIONS": {name: True for name in ATTRIBUTES if name not in ("FULL_PATH", "CONTENTS")},
        }
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server((host, port), family=family, backlog=MOST_AT_ONCE)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise ControlError(f"no OSCQuery at http://{host}:{port}: {why}; OSC itself is heard") from error
        self.port = int(self._socket.getsockname()[1])
        self._open = 0
        self._turn, self._over = asyncio.Lock(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="OSCQuery", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more answers."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_over())

    async def _until_over(self) -> None:
        server = await asyncio.start_server(self._serve, sock=self._socket, limit=HEAD_BYTES)
        await self._over.wait()
        server.close()  # the connections that are left end with the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request: keeping it open would gain nothing on the way from program to program."""
        self._open += 1
        try:
            if self._open > MOST_AT_ONCE:
                return
            async with asyncio.timeout(REQUEST_S):
                writer.write(await self._answer(reader))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # gone, or too slow: nobody is left to be told
        finally:
            self._open -= 1
            with contextlib.suppress(RuntimeError):  # the loop is closed
                writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        target, _, version = rest.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not target.startswith(b"/"):
            return _response(HTTPStatus.BAD_REQUEST)
        if method not in (b"GET", b"HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, extra="Allow: GET, HEAD\r\n")
        async with self._turn:
            status, content = answer(target.decode("latin-1"), self._tree, self._info)
            response = _response(status, content, body=method == b"GET")
            await asyncio.sleep(REST_S)
        return response


def answer(target: str, tree: Callable[[], Node], info: dict[str, Any]) -> tuple[HTTPStatus, Any]:
    """Of a request's target, "/PATH", "/PATH?ATTRIBUTE" or "/?HOST_INFO": status and content (None: none).

    As the proposal has it: 404 for a path that is not there, 400 for an attribute nobody knows, 204 for one that this
    node does not have.
    """
    path, _, query = target.partition("?")
    attribute = urllib.parse.unquote(query)
    if attribute == HOST_INFO:
        return HTTPStatus.OK, info
    node = find(tree(), urllib.parse.unquote(path))
    if node is None:
        return HTTPStatus.NOT_FOUND, None
    if not attribute:
        return HTTPStatus.OK, node
    if attribute not in ATTRIBUTES:
        return HTTPStatus.BAD_REQUEST, None
    if attribute not in node:
        return HTTPStatus.NO_CONTENT, None
    return HTTPStatus.OK, {attribute: node[attribute]}


def _response(status: HTTPStatus, content: Any = None, body: bool = True, extra: str = "") -> bytes:
    """An HTTP response; content becomes JSON."""
    data = b"" if content is None else json.dumps(content, allow_nan=False).encode()
    length = "" if status is HTTPStatus.NO_CONTENT else f"Content-Length: {len(data)}\r\n"
    kind = "Content-Type: application/json; charset=utf-8\r\n" if data else ""
    first, last = f"HTTP/1.1 {status.value} {status.phrase}\r\n", "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    return (first + kind + length + extra + last).encode() + (data if body else b"")
