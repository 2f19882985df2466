"""How long to wait before a request is sent again. Pure: no clock, no chance of its own.

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
    """How long to wait before asking again, where the server did not say, in seconds.

    Args:
        retries_taken: How often it was asked again before, 0 or more.
        chance: At least 0 and below 1; up to a quarter is taken off the wait by it, so that many
            clients don't come back at once.
    """
    # 2.0 to the power of 1024 is no float.
    delay = min(FIRST_DELAY_S * 2.0 ** min(retries_taken, 64), MAX_DELAY_S)
    return delay * (1 - 0.25 * chance)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """How long a server asks to be waited for, in seconds; None if it does not say.

    Args:
        headers: Of its answer: `retry-after-ms`, or else `retry-after`, a number or a date.
        now: Seconds since 1970.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    seconds = _number(text)
    return _until(text, now) if seconds is None else seconds


def _number(text: str) -> float | None:
    """A number of 0 or more; None for everything else, infinity too."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _until(text: str, now: float) -> float | None:
    """Seconds until a date, 0 if it has passed; None if the text is none."""
    try:
        date = parsedate_to_datetime(text)
        # A date without a zone is in UTC, as all dates of HTTP are.
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
