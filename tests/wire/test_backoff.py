"""Delays before a retry."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.wire.backoff import retry_after_s

NOW = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize(
    "date",
    [
        "Tue, 14 Nov 2023 22:13:25 GMT",
        "Tue, 14 Nov 2023 22:13:25",
        "Tue, 14 Nov 2023 22:13:25 -0000",
        "Tue, 14 Nov 2023 23:13:25 +0100",
        "Tuesday, 14-Nov-23 22:13:25 GMT",
        "Tue Nov 14 22:13:25 2023",
    ],
)
def test_retry_after_date_is_in_utc_in_any_time_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str, date: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert retry_after_s({"retry-after": date}, NOW) == 5
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "50", "retry-after": "7"}, 0.05),
        ({"retry-after-ms": "-1", "retry-after": "7"}, 7),
        ({"retry-after-ms": "nan", "retry-after": "7"}, 7),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:10 GMT"}, 0),
        ({"retry-after": "-7"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_every_form_of_retry_after_is_parsed(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_s(headers, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_a_finite_delay_or_none(text: str) -> None:
    wait = retry_after_s({"retry-after": text}, NOW)
    assert wait is None or 0 <= wait < float("inf")
