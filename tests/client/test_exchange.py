"""The steps of an exchange, performed by the test without I/O."""

from __future__ import annotations

from collections.abc import Generator

import httpx2
import pytest

from tenuto.client.errors import (
    APIConnectionError,
    APITimeoutError,
    OverloadedError,
    RateLimitError,
)
from tenuto.client.exchange import Close, Outcome, Read, Send, Step, Success, Wait, exchange

REQUEST = httpx2.Request("POST", "http://api.test/v1/complete", content=b"{}")


def begin(retries: int = 2, *, stream: bool = False) -> Generator[Step, Outcome, Success]:
    return exchange(
        REQUEST, max_retries=retries, stream=stream, clock=lambda: 0.0, chance=lambda: 0.0
    )


def answer(status: int, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"error": {"type": "overloaded_error", "message": "Overloaded"}}
    return httpx2.Response(status, headers=named, json=body, request=REQUEST)


def result(steps: Generator[Step, Outcome, Success], outcome: Outcome) -> Success:
    with pytest.raises(StopIteration) as done:
        steps.send(outcome)
    ended: Success = done.value.value
    return ended


def test_successful_response_is_read_whole() -> None:
    steps, good = begin(), answer(200)
    assert next(steps) == Send(REQUEST)
    assert steps.send(good) == Read(good)
    assert result(steps, None) == Success(good, 0)


def test_stream_is_returned_unread() -> None:
    steps, good = begin(stream=True), answer(200)
    next(steps)
    assert result(steps, good) == Success(good, 0)


def test_retry_closes_waits_and_resends() -> None:
    steps = begin()
    next(steps)
    for wait, failure in ((0.5, answer(529)), (7.0, answer(429, retry_after="7"))):
        assert steps.send(failure) == Close(failure)
        assert steps.send(None) == Wait(wait)
        assert steps.send(None) == Send(REQUEST)
    good = answer(200)
    steps.send(good)
    assert result(steps, None) == Success(good, 2)


def test_the_last_failure_is_read_and_raised() -> None:
    steps, failure = begin(0), answer(529, request_id="req_1")
    next(steps)
    assert steps.send(failure) == Read(failure)
    with pytest.raises(OverloadedError) as caught:
        steps.send(None)
    assert (caught.value.request_id, caught.value.type) == ("req_1", "overloaded_error")


def test_a_failure_after_retries_is_the_last_one() -> None:
    steps = begin(1)
    next(steps)
    steps.send(answer(500))
    steps.send(None)
    steps.send(None)
    steps.send(answer(429))
    with pytest.raises(RateLimitError):
        steps.send(None)


def test_connection_error_is_retried() -> None:
    steps = begin(1)
    next(steps)
    assert steps.send(httpx2.ConnectError("refused")) == Wait(0.5)
    assert steps.send(None) == Send(REQUEST)
    with pytest.raises(APIConnectionError, match=r"refused.*`tenuto serve`") as caught:
        steps.send(httpx2.ConnectError("refused"))
    assert isinstance(caught.value.__cause__, httpx2.ConnectError)


def test_timeout_is_retried() -> None:
    steps = begin(1)
    next(steps)
    assert steps.send(httpx2.ReadTimeout("slow")) == Wait(0.5)
    steps.send(None)
    with pytest.raises(APITimeoutError):
        steps.send(httpx2.ConnectTimeout("slow"))


@pytest.mark.parametrize(
    "error", [httpx2.UnsupportedProtocol("ftp"), httpx2.LocalProtocolError("bad header")]
)
def test_permanent_error_is_not_retried(error: httpx2.HTTPError) -> None:
    steps = begin(5)
    next(steps)
    with pytest.raises(APIConnectionError):
        steps.send(error)


def test_truncated_response_is_retried() -> None:
    steps = begin(1)
    next(steps)
    steps.send(answer(200))
    assert steps.send(httpx2.ReadError("reset")) == Wait(0.5)
    assert steps.send(None) == Send(REQUEST)


def test_truncated_error_response_is_a_connection_error() -> None:
    steps = begin(0)
    next(steps)
    steps.send(answer(400))
    with pytest.raises(APIConnectionError, match="reset"):
        steps.send(httpx2.ReadError("reset"))
