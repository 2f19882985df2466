"""Rules for retries: which responses, and after which wait."""

from __future__ import annotations

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.client.exchange import delay_s, should_retry
from tenuto.wire.backoff import MAX_DELAY_S

NOW = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


def delay(retries: int = 0, chance: float = 0.0, **headers: str) -> float:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return delay_s(retries, httpx2.Headers(named), now=NOW, chance=chance)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529, 599])
def test_temporary_status_is_retried(status: int) -> None:
    assert should_retry(status, {})


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 418, 422])
def test_client_error_status_is_not_retried(status: int) -> None:
    assert not should_retry(status, {})


@pytest.mark.parametrize("status", [400, 429, 500])
def test_x_should_retry_overrides_the_status(status: int) -> None:
    assert should_retry(status, {"x-should-retry": "true"})
    assert not should_retry(status, {"x-should-retry": "false"})
    assert should_retry(status, {"x-should-retry": "yes"}) is should_retry(status, {})


def test_backoff_doubles_up_to_a_maximum() -> None:
    assert [delay(n) for n in range(7)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert delay(10_000) == 8


def test_backoff_has_a_quarter_of_jitter() -> None:
    assert delay(1, chance=0.5) == 0.875
    assert delay(1, chance=1.0) == 0.75


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after": "60"}, 60),
        ({"retry_after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30),
        ({"retry_after": "Tue, 14 Nov 2023 23:14:20 +0100"}, 60),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after_ms": "1500", "retry_after": "7"}, 1.5),
        ({"retry_after_ms": "soon", "retry_after": "7"}, 7),
    ],
)
def test_retry_after_header_sets_the_delay(headers: dict[str, str], expected: float) -> None:
    assert delay(3, chance=0.9, **headers) == pytest.approx(expected)


@pytest.mark.parametrize(
    "value",
    [
        *("61", "0", "-1", "1e9", "nan", "inf", "soon", ""),
        *("Tue, 14 Nov 2023 22:00:00 GMT", "Tue, 14 Nov 2023 23:00:00 GMT"),
        *("Tue, 99 Nov 2023", "Tue, 14 Nov 99999 22:00:00 GMT"),
    ],
)
def test_invalid_retry_after_is_ignored(value: str) -> None:
    assert delay(0, retry_after=value) == 0.5


@given(st.integers(0, 2000), st.floats(0, 1, exclude_max=True), st.text() | st.floats().map(str))
def test_delay_is_always_bounded(retries: int, chance: float, retry_after: str) -> None:
    for headers in ({}, {"retry-after": retry_after}, {"retry-after-ms": retry_after}):
        wait = delay_s(retries, headers, now=NOW, chance=chance)
        assert 0 < wait <= 60
        assert headers or wait <= MAX_DELAY_S
