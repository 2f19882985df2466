"""Silent and slow connections do not stop the others."""

from __future__ import annotations

import json
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat import servers
from compat.questions import ASK, ECHOED
from compat.raw import Connection
from tests.conftest import RunningServer

IDLE = 1000
SLOW = 100
REQUESTS = 30
WITHIN_S = 0.1


@pytest.fixture(scope="module")
def descriptors() -> Iterator[None]:
    """Enough for both ends: the server inherits the limit, and starts after this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(soft, min(hard, 4 * (IDLE + SLOW)))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ask(server: RunningServer) -> float:
    """Seconds until a whole answer."""
    started = time.monotonic()
    connection = Connection(server.url)
    connection.ask(ASK)
    answer = connection.read_until(b'"log_id"')
    connection.close()
    assert json.dumps(ECHOED).encode() in answer
    return time.monotonic() - started


@pytest.fixture
def echo(descriptors: None, tmp_path: Path) -> Iterator[RunningServer]:
    """A server of its own, which has that limit."""
    with servers.configured(tmp_path, servers.ECHO) as server:
        yield server


def test_requests_beside_slow_connections_complete_within_100_ms(echo: RunningServer) -> None:
    idle = [Connection(echo.url) for _ in range(IDLE)]
    slow = [Connection(echo.url) for _ in range(SLOW)]
    heads = [connection.head(1000) for connection in slow]
    seconds = []
    for turn in range(REQUESTS):
        # Half of them are slow with their heads, half with their bodies: a few bytes a turn.
        for number, (connection, head) in enumerate(zip(slow, heads, strict=True)):
            if number % 2:
                connection.send(head[turn : turn + 1])
            else:
                connection.send(head if turn == 0 else b" ")
        seconds.append(ask(echo))
        time.sleep(0.05)
    for connection in idle + slow:
        connection.close()
    assert statistics.median(seconds) < WITHIN_S, seconds
    assert echo.get("/ready")["running"] == 0
