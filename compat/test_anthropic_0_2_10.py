"""anthropic 0.2.10 for Python, of June 2023: the last of version 2023-01-01."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from compat import servers
from compat.driver import Client
from compat.questions import (
    ASK,
    ASK_ALL,
    ASK_LONG,
    ECHOED,
    HUMAN,
    REFUSALS,
    SOON_S,
    Refusal,
    assert_echoed,
    assert_echoed_so_far,
)
from tests.conftest import RunningServer

CLIENT = "anthropic_0_2_10"
ROW = "`anthropic` 0.2.10 (Python, 2023-01-01)"


@pytest.mark.feature("plain")
def test_client_completes(client: Client, echo: RunningServer) -> None:
    completion = client.run("plain", echo.url, **ASK)
    assert_echoed(completion)
    assert (completion["truncated"], completion["exception"]) == (False, None)


@pytest.mark.feature("plain")
def test_built_in_model_completes(client: Client, built_in: RunningServer) -> None:
    assert client.run("plain", built_in.url, **ASK, temperature=0)["completion"].strip()


@pytest.mark.feature("stream")
def test_client_streams(client: Client, echo: RunningServer) -> None:
    assert_echoed_so_far(client.run("stream", echo.url, **ASK)["events"])


@pytest.mark.feature("stream")
def test_built_in_model_streams(client: Client, built_in: RunningServer) -> None:
    events = client.run("stream", built_in.url, **ASK, temperature=0)["events"]
    texts = [event["completion"] for event in events]
    assert all(after.startswith(before) for before, after in pairwise(texts))
    assert events[-1]["stop_reason"] in ("stop_sequence", "max_tokens")


@pytest.mark.feature("async")
def test_asynchronous_methods_complete_and_stream(client: Client, echo: RunningServer) -> None:
    seen = client.run("asynchronous", echo.url, **ASK)
    assert_echoed(seen["plain"])
    assert_echoed_so_far(seen["events"])


@pytest.mark.feature("all fields")
def test_every_field_is_accepted(client: Client, echo: RunningServer) -> None:
    completion = client.run("plain", echo.url, **ASK_ALL, tags={"team": "a"})
    assert completion["completion"] == ECHOED.partition(" How")[0]
    assert completion["stop"] == " How"


@pytest.mark.feature("errors")
# It replaces the whole path of its address, so that it cannot be sent to a wrong one.
@pytest.mark.parametrize(
    "refused", [r for r in REFUSALS if r.status != 404], ids=lambda r: str(r.status), indirect=True
)
def test_refusal_raises_the_documented_error(
    client: Client, refused: tuple[Refusal, str, dict[str, Any]]
) -> None:
    refusal, url, request = refused
    seen = client.run("error", url, **request)
    assert seen["class"] == "ApiException"
    message, body = seen["arguments"]
    assert message == f"post request failed with status code: {refusal.status}"
    assert body["error"]["type"] == refusal.type


@pytest.mark.feature("keys")
def test_key_is_accepted(client: Client, keyed: RunningServer, key: str) -> None:
    assert client.run("error", keyed.url, api_key=key, **ASK) == {"class": None}


@pytest.mark.feature("broken stream")
def test_error_in_the_middle_of_a_stream_is_passed_on(
    client: Client, endless: RunningServer
) -> None:
    client.begin("stream", endless.url, **ASK_LONG)
    servers.kill_worker_at_work(endless)
    *_, last = client.result()["events"]
    # The client knows no errors there; it passes on what it reads.
    assert last["error"]["type"] == "api_error"


@pytest.mark.feature("leaving")
def test_a_closed_stream_frees_its_slot(client: Client, endless: RunningServer) -> None:
    assert HUMAN not in client.run("leave", endless.url, **ASK_LONG)["first"]
    endless.wait_until_idle(SOON_S)
