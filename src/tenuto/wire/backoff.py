"""How long to wait before a request is sent again. Pure: no clock, no chance of its own.

The rules are those of the official Python client, 0.125.0.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    try:
        return float(headers.get("retry-after-ms", "")) / 1000
    except ValueError:
        pass
    text = headers.get("retry-after", "")
    try:
        return float(text)
    except ValueError:
        pass
    try:
        # A date without a zone is taken as UTC, as all dates of HTTP are.
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None
