"""JSON as upstreams write it: with lone surrogates, and with more text after a value."""

from __future__ import annotations

import json
from typing import Final

from pydantic_core import from_json

from tenuto.core.text import well_formed

_DECODER: Final = json.JSONDecoder(strict=False)
_SPACE: Final = " \t\r\n\ufeff"
_LONGEST_TAIL: Final = 1024 * 1024
"""Most text after a value that is searched for more, because each value copies the rest."""


def json_value(data: bytes | str) -> object:
    """Parse one JSON value.

    Raises:
        ValueError: The text is not exactly one JSON value.
    """
    (value,), _ = json_values(data)
    return value


def json_values(data: bytes | str) -> tuple[list[object], str]:
    """Parse consecutive JSON values, and return the text after the last one, too.

    Raises:
        ValueError: The text does not begin with a JSON value.
    """
    try:
        return [from_json(data)], ""
    except ValueError:
        pass
    # The standard library's parser is slower. It accepts lone surrogates and control characters.
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    text = text.lstrip(_SPACE)
    values: list[object] = []
    while text and (not values or text[0] == "{"):
        try:
            value, end = _DECODER.raw_decode(text)
        except (ValueError, RecursionError):
            break
        values.append(value)
        text = text[end:].lstrip(_SPACE)
        if len(values) > 1 and len(text) > _LONGEST_TAIL:
            break
    if not values:
        raise ValueError("not JSON")
    return values, text


class Halves:
    """Text in pieces, some of which end within a surrogate pair of UTF-16."""

    def __init__(self) -> None:
        self._high = ""

    def push(self, text: str) -> str:
        """Take the next piece; return its whole characters, with the half held before."""
        if not self._high and text.isascii():
            return text
        text = self._high + text
        self._high = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return well_formed(text[:-1] if self._high else text)

    def end(self) -> str:
        """Return the held half, without its other one, as U+FFFD."""
        high, self._high = self._high, ""
        return well_formed(high)
