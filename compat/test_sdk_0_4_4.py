"""@anthropic-ai/sdk 0.4.4 for Node.js, of June 2023: the last of version 2023-01-01."""

from __future__ import annotations

from typing import Any

import pytest

from compat import servers
from compat.driver import Client
from compat.questions import (
    ASK,
    ASK_ALL,
    ASK_LONG,
    ECHOED,
    SOON_S,
    Refusal,
    assert_echoed,
    assert_echoed_so_far,
)
from tests.conftest import RunningServer

CLIENT = "sdk_0_4_4"
ROW = "`@anthropic-ai/sdk` 0.4.4 (Node.js, 2023-01-01)"


@pytest.mark.feature("plain")
def test_client_completes(client: Client, echo: RunningServer) -> None:
    assert_echoed(client.run("plain", echo.url, **ASK))


@pytest.mark.feature("plain")
def test_built_in_model_completes(client: Client, built_in: RunningServer) -> None:
    assert client.run("plain", built_in.url, **ASK, temperature=0)["completion"].strip()


@pytest.mark.feature("stream")
def test_client_streams(client: Client, echo: RunningServer) -> None:
    seen = client.run("stream", echo.url, **ASK)
    assert_echoed_so_far(seen["events"])
    assert seen["last"] == seen["events"][-1]


@pytest.mark.feature("all fields")
def test_every_field_is_accepted(client: Client, echo: RunningServer) -> None:
    completion = client.run("plain", echo.url, **ASK_ALL, tags={"team": "a"})
    assert completion["completion"] == ECHOED.partition(" How")[0]


@pytest.mark.feature("errors")
def test_refusal_raises_the_documented_error(
    client: Client, refused: tuple[Refusal, str, dict[str, Any]]
) -> None:
    refusal, url, request = refused
    seen = client.run("error", url, **request)
    assert f"Sampling error: {refusal.status} " in seen["message"]


@pytest.mark.feature("keys")
def test_key_is_accepted(client: Client, keyed: RunningServer, key: str) -> None:
    assert client.run("error", keyed.url, api_key=key, **ASK) == {"class": None}


@pytest.mark.feature("broken stream")
def test_error_in_the_middle_of_a_stream_ends_it(client: Client, endless: RunningServer) -> None:
    client.begin("stream", endless.url, **ASK_LONG)
    servers.kill_worker_at_work(endless)
    # The client knows no errors there; it ends, and gives what it read last.
    assert client.result()["last"]["error"]["type"] == "api_error"


@pytest.mark.feature("leaving")
def test_an_aborted_stream_frees_its_slot(client: Client, endless: RunningServer) -> None:
    seen = client.run("leave", endless.url, **ASK_LONG)
    assert (seen["class"], bool(seen["first"])) == ("AbortError", True)
    endless.wait_until_idle(SOON_S)
