"""Python's own urllib, and a stream that is read line by line."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from http.client import HTTPResponse
from typing import Any

import pytest

from compat import servers
from compat.questions import (
    ASK,
    ASK_ALL,
    ASK_LONG,
    ECHOED,
    SOON_S,
    Refusal,
    assert_echoed,
    assert_echoed_in_events,
    assert_echoed_so_far,
)
from compat.sse import events_of
from tests.conftest import PATIENCE_S, RunningServer

ROW = "`urllib` (Python)"


def ask(url: str, body: dict[str, Any], **headers: str) -> HTTPResponse:
    request = urllib.request.Request(
        f"{url}/v1/complete",
        data=json.dumps(body).encode(),
        headers={"anthropic-version": "2023-06-01"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
    )
    response: HTTPResponse = urllib.request.urlopen(request, timeout=PATIENCE_S)
    return response


@pytest.mark.feature("plain")
def test_urllib_completes(echo: RunningServer) -> None:
    with ask(echo.url, ASK) as response:
        assert_echoed(json.load(response))
        assert response.headers["request-id"].startswith("req_01")


@pytest.mark.feature("stream")
def test_urllib_streams(echo: RunningServer) -> None:
    with ask(echo.url, ASK | {"stream": True}) as response:
        text = response.read().decode()
    assert_echoed_in_events([data for name, data in events_of(text) if name == "completion"])


@pytest.mark.feature("stream")
def test_stream_of_2023_01_01_is_cumulative(echo: RunningServer) -> None:
    with ask(echo.url, ASK | {"stream": True}, anthropic_version="2023-01-01") as response:
        lines = [line.decode().strip() for line in response]
    assert lines[-2:] == ["data: [DONE]", ""]
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: {")]
    assert_echoed_so_far([event for event in map(json.loads, data) if event])


@pytest.mark.feature("stream")
def test_lines_arrive_one_by_one(endless: RunningServer) -> None:
    started = time.monotonic()
    times = []
    with ask(endless.url, ASK | {"stream": True, "max_tokens_to_sample": 300}) as response:
        times = [time.monotonic() - started for line in response if line.startswith(b"data:")]
    assert len(times) > 100
    assert times[len(times) // 2] < 0.9 * times[-1]


@pytest.mark.feature("all fields")
def test_every_field_is_accepted(echo: RunningServer) -> None:
    with ask(echo.url, ASK_ALL, anthropic_beta="a,b") as response:
        assert json.load(response)["completion"] == ECHOED.partition(" How")[0]


@pytest.mark.feature("errors")
def test_refusal_has_the_documented_error(refused: tuple[Refusal, str, dict[str, Any]]) -> None:
    refusal, url, request = refused
    if request.pop("pad", 0):
        pytest.skip("urllib does not read before it has sent all, and gives up where it cannot")
    with pytest.raises(urllib.error.HTTPError) as raised:
        ask(url, request)
    with raised.value as error:
        assert error.code == refusal.status
        assert json.load(error)["error"]["type"] == refusal.type


@pytest.mark.feature("keys")
def test_key_is_accepted(keyed: RunningServer, key: str) -> None:
    with ask(keyed.url, ASK, x_api_key=key) as response:
        assert_echoed(json.load(response))


@pytest.mark.feature("broken stream")
def test_error_in_the_middle_of_a_stream_is_an_event(endless: RunningServer) -> None:
    with ask(endless.url, ASK_LONG | {"stream": True}) as response:
        servers.kill_worker_at_work(endless)
        *_, (name, data) = events_of(response.read().decode())
    assert (name, data["error"]["type"]) == ("error", "api_error")
    assert data["request_id"] == response.headers["request-id"]


@pytest.mark.feature("leaving")
def test_a_closed_response_frees_its_slot(endless: RunningServer) -> None:
    with ask(endless.url, ASK_LONG | {"stream": True}) as response:
        response.readline()
    endless.wait_until_idle(SOON_S)
