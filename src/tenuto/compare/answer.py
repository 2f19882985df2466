"""An answer to a request, as far as a comparison needs it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

MOST_CHARS: Final = 200_000
"""Longest text that is kept, about 50,000 tokens. Longer answers are not compared."""

TOO_LONG: Final = "too_long"
"""The error of an answer of more characters."""
LEFT: Final = "left"
"""The error of an answer whose caller disconnected before its end."""
TIMEOUT: Final = "timeout"
"""The error of a copy that took too long."""

_FENCE: Final = "```"


@dataclass(slots=True)
class Answer:
    """One answer, complete or broken off.

    Attributes:
        upstream: The upstream that answered, "" if none did.
        model: The model that answered, "" if unknown.
        text: Its text up to a stop sequence; of a broken one the part before the error.
        end: Reason of the end: `turn`, `stop` or `length`; "" if it did not end.
        stop: The stop sequence that matched; None for another end.
        error: Kind of the error; "" without one.
        first_ms: Milliseconds to the first token, if there was one.
        total_ms: Milliseconds to the end.
        input_tokens: Tokens of the prompt; None if unknown.
        cached_tokens: How many of them were cache hits; None if unknown.
        output_tokens: Tokens of the answer; None if unknown.
        cost: Its price in the operator's currency; None without a price or without counts.
        warnings: What was changed in the request for this upstream.
    """

    upstream: str = ""
    model: str = ""
    text: str = ""
    end: str = ""
    stop: str | None = None
    error: str = ""
    first_ms: float | None = None
    total_ms: float = 0.0
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    warnings: tuple[str, ...] = ()


def is_json(text: str, prefill: str = "") -> bool:
    """Return whether a text is an object or a list of JSON, alone, in a fence, or with its prefill.

    A prefill such as `{` begins the answer without being part of it.
    """
    return _is_json(text) or (bool(prefill.strip()) and _is_json(prefill + text))


def _is_json(text: str) -> bool:
    text = text.strip()
    if text.startswith(_FENCE) and text.endswith(_FENCE):
        _, _, text = text[: -len(_FENCE)].partition("\n")
        text = text.strip()
    if not text.startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    # Deep nesting, and numbers of more digits than Python reads.
    except (ValueError, RecursionError):
        return False
    return True
