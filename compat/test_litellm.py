"""litellm 1.106.2, provider `anthropic_text`, model `claude-2`."""

from __future__ import annotations

from typing import Any

import pytest

from compat.driver import Client
from compat.questions import ECHOED, TEXT
from tests.conftest import RunningServer

CLIENT = "litellm_1_106_2"
ROW = "`litellm` 1.106.2, `anthropic_text/claude-2`"

# Its reader of these streams marks each event, pings too, as the last one: of a stream in the
# documented form it returns one event at most, from any server.
every_event_is_its_last = pytest.mark.xfail(strict=True, reason="the library ends the stream")


@pytest.fixture(scope="module")
def seen(client: Client, echo: RunningServer, keyed: RunningServer) -> dict[str, Any]:
    # Of which the library makes two Human turns in a row.
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TEXT}]
    return client.run("everything", echo.url, keyed=keyed.url, messages=messages, max_tokens=64)


@pytest.mark.feature("plain")
def test_completion_returns_the_text(seen: dict[str, Any]) -> None:
    assert seen["plain"] == {"text": ECHOED, "finish": "stop_sequence"}


@pytest.mark.feature("stream")
@every_event_is_its_last
def test_streaming_returns_chunks(seen: dict[str, Any]) -> None:
    assert seen["stream"]["text"] == ECHOED
    assert seen["stream"]["chunks"] >= len(TEXT.split())


def test_stream_has_its_first_text(seen: dict[str, Any]) -> None:
    first = seen["stream"]["text"]
    assert first.strip()
    assert ECHOED.startswith(first)


@pytest.mark.feature("async")
def test_acompletion_returns_the_text(seen: dict[str, Any]) -> None:
    assert seen["asynchronous"]["plain"]["text"] == ECHOED


@pytest.mark.feature("all fields")
def test_stop_ends_the_text(seen: dict[str, Any]) -> None:
    assert seen["stopped"]["text"] == ECHOED.partition("there")[0]


@pytest.mark.feature("errors")
def test_wrong_key_raises_authentication_error(seen: dict[str, Any]) -> None:
    assert seen["error"] == {"class": "AuthenticationError", "status": 401}
