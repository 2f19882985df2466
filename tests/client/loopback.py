"""Servers on loopback for tests of connections: what each was sent, and how many are open."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_S = 30.0

Respond = Callable[[bytes, Callable[[bytes], None]], None]
"""Handler of a request: its head, its body and a function that sends bytes."""


class LoopbackServer:
    """HTTP server on a loopback port that handles each request with `respond`.

    Args:
        respond: Sends the answer.
        keep_alive: Whether a connection takes one request after another, or ends after its first.

    Attributes:
        requests: All requests, head and body.
        open: How many connections are open now, as this side sees it.
    """

    def __init__(self, respond: Respond, *, keep_alive: bool = False) -> None:
        self.requests: list[bytes] = []
        self.open = 0
        self._changed = threading.Condition()
        self._respond = respond
        self._keep_alive = keep_alive
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def wait_until_open(self, count: int) -> None:
        """Wait until a number of connections are open; fail after a timeout."""
        with self._changed:
            reached = self._changed.wait_for(lambda: self.open == count, PATIENCE_S)
        assert reached, f"{self.open} connections are open, and not {count}"

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._count(1)
        try:
            with connection:
                while request := _read(connection):
                    self.requests.append(request)
                    self._respond(request, connection.sendall)
                    if not self._keep_alive:
                        break
        except OSError:
            pass
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._changed:
            self.open += change
            self._changed.notify_all()


def _read(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more or more.startswith(b"\x16"):  # The hello of TLS has no blank line.
            return data or more
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(respond: Respond, *, keep_alive: bool = False) -> Iterator[LoopbackServer]:
    server = LoopbackServer(respond, keep_alive=keep_alive)
    try:
        yield server
    finally:
        server.close()


def answer(status: str, body: bytes = b"{}", **headers: str) -> bytes:
    """A whole answer of HTTP, after which the connection ends if the headers do not differ."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "content-type: application/json"]
    headers = {"connection": "close", **headers}
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"request-id: req_1\r\nconnection: close\r\n\r\n"
)


def endless(piece: bytes) -> Respond:
    """Stream the same piece until the client disconnects."""

    def respond(_: bytes, send: Callable[[bytes], None]) -> None:
        send(STREAM_HEAD)
        while True:
            send(piece)
            time.sleep(0.005)

    return respond
