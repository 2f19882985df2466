"""anthropic 0.125.0 for Python: the last with a completions resource, of August 2026."""

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

CLIENT = "anthropic_0_125_0"
ROW = "`anthropic` 0.125.0 (Python)"

CLASSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    413: "RequestTooLargeError",
    529: "OverloadedError",
}


@pytest.mark.feature("plain")
@pytest.mark.parametrize("strict", [False, True])
def test_client_completes(client: Client, echo: RunningServer, strict: bool) -> None:
    completion = client.run("plain", echo.url, strict=strict, **ASK)
    assert_echoed(completion)
    assert completion["request_id"].startswith("req_01")


@pytest.mark.feature("plain")
def test_built_in_model_completes(client: Client, built_in: RunningServer) -> None:
    completion = client.run("plain", built_in.url, strict=True, **ASK, temperature=0)
    assert completion["completion"].strip()
    assert completion["model"] == "tenuto-mini"


@pytest.mark.feature("stream")
@pytest.mark.parametrize("strict", [False, True])
def test_client_streams(client: Client, echo: RunningServer, strict: bool) -> None:
    assert_echoed_in_events(client.run("stream", echo.url, strict=strict, **ASK)["events"])


@pytest.mark.feature("stream")
def test_built_in_model_streams(client: Client, built_in: RunningServer) -> None:
    events = client.run("stream", built_in.url, strict=True, **ASK, temperature=0)["events"]
    assert "".join(event["completion"] for event in events).strip()
    assert events[-1]["stop_reason"] in ("stop_sequence", "max_tokens")


@pytest.mark.feature("async")
def test_asynchronous_client_completes_and_streams(client: Client, echo: RunningServer) -> None:
    seen = client.run("asynchronous", echo.url, **ASK)
    assert_echoed(seen["plain"])
    assert_echoed_in_events(seen["events"])


@pytest.mark.feature("all fields")
def test_every_field_is_accepted(client: Client, echo: RunningServer) -> None:
    completion = client.run("plain", echo.url, strict=True, **ASK_ALL, betas=["string"])
    assert completion["completion"] == ECHOED.partition(" How")[0]
    assert completion["stop"] == " How"


@pytest.mark.feature("raw response")
def test_raw_response_is_readable(client: Client, echo: RunningServer) -> None:
    seen = client.run("raw", echo.url, **ASK)
    assert seen["status"] == 200
    assert seen["request_id"] == seen["attribute"] == seen["parsed"]["request_id"]
    assert_echoed(seen["parsed"])


@pytest.mark.feature("raw response")
def test_streaming_response_is_readable(client: Client, echo: RunningServer) -> None:
    seen = client.run("streaming_response", echo.url, **ASK)
    assert_echoed(seen["plain"])
    assert_echoed_in_events(seen["events"])
    assert seen["content_type"] == "text/event-stream; charset=utf-8"
    assert seen["lines"][0] == "event: completion"
    assert seen["lines"][2] == ""


@pytest.mark.feature("errors")
def test_refusal_raises_the_documented_error(
    client: Client, refused: tuple[Refusal, str, dict[str, Any]]
) -> None:
    refusal, url, request = refused
    seen = client.run("error", url, **request)
    assert seen["class"] == CLASSES[refusal.status]
    assert (seen["status"], seen["type"]) == (refusal.status, refusal.type)
    assert seen["request_id"] == seen["body"]["request_id"]


@pytest.mark.feature("keys")
def test_key_is_accepted_in_either_header(client: Client, keyed: RunningServer, key: str) -> None:
    assert_echoed(client.run("bearer", keyed.url, token=key, **ASK))
    assert client.run("error", keyed.url, api_key=key, **ASK) == {"class": None}


@pytest.mark.feature("broken stream")
def test_error_in_the_middle_of_a_stream_is_raised(client: Client, endless: RunningServer) -> None:
    client.begin("broken_stream", endless.url, **ASK_LONG)
    servers.kill_worker_at_work(endless)
    seen = client.result()
    assert (seen["class"], seen["type"]) == ("APIStatusError", "api_error")
    assert seen["status"] == 200  # That of the response: the error came after it.


@pytest.mark.feature("retries")
def test_overloaded_response_is_retried(client: Client, tmp_path: Path) -> None:
    with servers.loading(tmp_path) as (server, worker):
        client.begin("retry", server.url, retries=20, **ASK)
        servers.load_when(worker, lambda: "retrying request" in client.output().lower())
        seen = client.result()
    assert seen["retries"] >= 1
    assert seen["completion"]["completion"].strip()


@pytest.mark.feature("leaving")
def test_a_closed_stream_frees_its_slot(client: Client, endless: RunningServer) -> None:
    assert client.run("leave", endless.url, **ASK_LONG)["first"]
    endless.wait_until_idle(SOON_S)
