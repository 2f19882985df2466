"""Delays before a retry. Pure: no clock, no random numbers.

The rules are those of the official Python client, 0.125.0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 8.0


def delay_s(retries_taken: int, chance: float) -> float:
    """Return the delay before a retry in seconds, for a response without `retry-after`.

    The random number `chance`, from 0 up to 1, takes up to a quarter off the delay, so that many
    clients do not retry at once.
    """
    # 2.0**1024 overflows.
    delay = min(FIRST_DELAY_S * 2.0 ** min(retries_taken, 64), MAX_DELAY_S)
    return delay * (1 - 0.25 * chance)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the delay in a response's headers in seconds, or None. `now`: seconds since 1970.

    The headers are `retry-after-ms`, or else `retry-after`, a number or a date.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    seconds = _number(text)
    return _until(text, now) if seconds is None else seconds


def _number(text: str) -> float | None:
    """Return a finite number of 0 or more, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _until(text: str, now: float) -> float | None:
    """Return the seconds until a date, 0 for a past one; None for an invalid one."""
    try:
        date = parsedate_to_datetime(text)
        # HTTP dates are in UTC.
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
