"""A disconnect frees the slot at once, in every state of the request."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compat import servers
from compat.questions import ASK_LONG
from compat.raw import Connection
from tests.conftest import RunningServer

# A machine with other work to do is not always that fast; a server that is right is at once.
WITHIN_S = 0.25
TRIES = 5

COMPLETION = b"event: completion"


def before_the_first_token(server: RunningServer) -> Connection:
    connection = Connection(server.url)
    # The prompt takes longer to read than it takes to leave.
    prompt = "\n\nHuman:" + " word" * 1500 + "\n\nAssistant:"
    connection.ask(ASK_LONG | {"stream": True, "prompt": prompt, "max_tokens_to_sample": 300})
    assert COMPLETION not in connection.read_until(b"\r\n\r\n")
    return connection


def in_the_middle_of_a_stream(server: RunningServer) -> Connection:
    connection = Connection(server.url)
    connection.ask(ASK_LONG | {"stream": True})
    connection.read_until(COMPLETION, times=3)
    return connection


def in_a_plain_call(server: RunningServer) -> Connection:
    connection = Connection(server.url)
    connection.ask(ASK_LONG)
    servers.wait_until_running(server)
    return connection


@pytest.mark.parametrize(
    "begin", [before_the_first_token, in_the_middle_of_a_stream, in_a_plain_call]
)
def test_disconnect_frees_the_slot_within_250_ms(
    endless: RunningServer, begin: Callable[[RunningServer], Connection]
) -> None:
    seconds = []
    for _ in range(TRIES):
        begin(endless).close()
        seconds.append(endless.wait_until_idle(10))
    assert min(seconds) < WITHIN_S, seconds
    assert sorted(seconds)[TRIES // 2] < 4 * WITHIN_S, seconds


def test_disconnect_removes_a_queued_request(endless: RunningServer) -> None:
    with servers.silent(endless):
        connections = [Connection(endless.url) for _ in range(4)]
        for connection in connections:
            connection.ask(ASK_LONG)
        for connection in connections:
            connection.close()
    # What the worker finds when it goes on: four jobs, and nobody who wants them.
    assert endless.wait_until_idle(10) < 10
