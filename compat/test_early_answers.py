"""A request that is refused before its body has come: the client must be able to read why.

Many clients only read once they have sent everything, and give up where the connection breaks.
"""

from __future__ import annotations

import time

import pytest

from compat.raw import Connection
from tests.conftest import RunningServer

CHUNK = b" " * 65536


@pytest.mark.parametrize(
    ("length", "version", "status"),
    [(33 * 1024 * 1024, "2023-06-01", b"413"), (1024 * 1024, "unknown", b"400")],
    ids=["too large", "wrong version"],
)
def test_whole_body_is_read_and_one_response_is_sent(
    echo: RunningServer, length: int, version: str, status: bytes
) -> None:
    with Connection(echo.url) as connection:
        connection.send(connection.head(length, anthropic_version=version, connection="close"))
        for _ in range(length // len(CHUNK)):
            connection.send(CHUNK)
            time.sleep(0.001)  # As a network would, so that the answer comes before the end.
        while connection.receive():
            pass
        answer = connection.read_until(b"HTTP/1.1")
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1") == 1
