"""anthropic 0.8.0 for Python, of December 2023: the first with `id` and `type`."""

from __future__ import annotations

from pathlib import Path
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
    assert_echoed_in_events,
)
from tests.conftest import RunningServer

CLIENT = "anthropic_0_8_0"
ROW = "`anthropic` 0.8.0 (Python)"

CLASSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    413: "APIStatusError",
    529: "InternalServerError",
}


@pytest.mark.feature("plain")
def test_client_completes(client: Client, echo: RunningServer) -> None:
    assert_echoed(client.run("plain", echo.url, **ASK))


@pytest.mark.feature("plain")
def test_built_in_model_completes(client: Client, built_in: RunningServer) -> None:
    assert client.run("plain", built_in.url, **ASK, temperature=0)["completion"].strip()


@pytest.mark.feature("stream")
def test_client_streams(client: Client, echo: RunningServer) -> None:
    assert_echoed_in_events(client.run("stream", echo.url, **ASK)["events"])


@pytest.mark.feature("async")
def test_asynchronous_client_completes_and_streams(client: Client, echo: RunningServer) -> None:
    seen = client.run("asynchronous", echo.url, **ASK)
    assert_echoed(seen["plain"])
    assert_echoed_in_events(seen["events"])


@pytest.mark.feature("all fields")
def test_every_field_is_accepted(client: Client, echo: RunningServer) -> None:
    completion = client.run("plain", echo.url, **ASK_ALL)
    assert completion["completion"] == ECHOED.partition(" How")[0]


@pytest.mark.feature("raw response")
def test_raw_response_is_readable(client: Client, echo: RunningServer) -> None:
    seen = client.run("raw", echo.url, **ASK)
    assert (seen["status"], seen["request_id"][:6]) == (200, "req_01")
    assert_echoed(seen["parsed"])


@pytest.mark.feature("errors")
def test_refusal_raises_the_documented_error(
    client: Client, refused: tuple[Refusal, str, dict[str, Any]]
) -> None:
    refusal, url, request = refused
    seen = client.run("error", url, **request)
    assert (seen["class"], seen["status"]) == (CLASSES[refusal.status], refusal.status)
    assert seen["body"]["error"]["type"] == refusal.type


@pytest.mark.feature("keys")
def test_key_is_accepted(client: Client, keyed: RunningServer, key: str) -> None:
    assert client.run("error", keyed.url, api_key=key, **ASK) == {"class": None}


@pytest.mark.feature("broken stream")
def test_error_in_the_middle_of_a_stream_is_raised(client: Client, endless: RunningServer) -> None:
    client.begin("broken_stream", endless.url, **ASK_LONG)
    servers.kill_worker_at_work(endless)
    seen = client.result()
    # The client makes the class of the response's status, which was 200: it knows none for it.
    assert (seen["class"], seen["body"]["error"]["type"]) == ("APIStatusError", "api_error")


@pytest.mark.feature("retries")
def test_overloaded_response_is_retried(client: Client, tmp_path: Path) -> None:
    with servers.loading(tmp_path) as (server, worker):
        client.begin("retry", server.url, retries=20, **ASK)
        servers.load_when(worker, lambda: "retrying request" in client.output().lower())
        assert client.result()["completion"].strip()


@pytest.mark.feature("leaving")
def test_a_closed_stream_frees_its_slot(client: Client, endless: RunningServer) -> None:
    assert client.run("leave", endless.url, **ASK_LONG)["first"]
    endless.wait_until_idle(SOON_S)
