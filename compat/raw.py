"""HTTP by hand, for tests of the timing of bytes."""

from __future__ import annotations

import json
import socket
from typing import Any, Self
from urllib.parse import urlsplit

from tests.conftest import PATIENCE_S


class Connection:
    """One connection that sends one request.

    Args:
        url: The server.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host = address.netloc
        self._socket = socket.create_connection(
            (address.hostname, address.port), timeout=PATIENCE_S
        )
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, body: dict[str, Any], **headers: str) -> None:
        """Send a whole request."""
        data = json.dumps(body).encode()
        self.send(self.head(len(data), **headers) + data)

    def head(self, length: int, **headers: str) -> bytes:
        """The head of a request with a body of that length."""
        fields = {
            "host": self._host,
            "anthropic-version": "2023-06-01",
            "content-type": "application/json",
            "content-length": str(length),
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
        return f"POST /v1/complete HTTP/1.1\r\n{''.join(lines)}\r\n".encode()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        """Return the next bytes; empty after the server has closed."""
        data = self._socket.recv(65536)
        self._read += data
        return data

    def read_until(self, words: bytes, times: int = 1) -> bytes:
        """All that has come, when the words have so often."""
        while self._read.count(words) < times:
            assert self.receive(), f"the answer ended: {self._read[-500:]!r}"
        return self._read

    def close(self) -> None:
        self._socket.close()
