"""JSON as servers of the field write it: with halves of characters, and with more behind it."""

from __future__ import annotations

import json
import re
from typing import Final

from pydantic_core import from_json

_DECODER: Final = json.JSONDecoder(strict=False)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SPACE: Final = " \t\r\n\ufeff"


def json_value(data: bytes | str) -> object:
    """Parse one JSON value.

    Raises:
        ValueError: The text is something else.
    """
    values, _ = json_values(data)
    if len(values) != 1:
        raise ValueError("not one JSON value")
    return values[0]


def json_values(data: bytes | str) -> tuple[list[object], str]:
    """Parse JSON values that stand one behind the other, and return the text after the last one.

    Raises:
        ValueError: The text does not begin with a JSON value.
    """
    try:
        return [from_json(data)], ""
    except ValueError:
        pass
    # The library's own parser is slow. It takes half a surrogate pair and raw control characters.
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    text = text.lstrip(_SPACE)
    values: list[object] = []
    while text and (not values or text[0] == "{"):
        try:
            value, end = _DECODER.raw_decode(text)
        except (ValueError, RecursionError):
            if not values:
                raise ValueError("not JSON") from None
            break
        values.append(value)
        text = text[end:].lstrip(_SPACE)
        if len(values) > 1 and len(text) > _LONGEST_TAIL:
            break
    if not values:
        raise ValueError("no JSON")
    return values, text


_LONGEST_TAIL: Final = 1024 * 1024
"""Values behind others are cut off one by one, so the text may not be long."""


def well_formed(text: str) -> str:
    """Join the halves of characters in a text; a half without its other one becomes U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Halves:
    """Text in pieces, some cut between the two halves of a character in UTF-16."""

    def __init__(self) -> None:
        self._high = ""

    def push(self, text: str) -> str:
        """Take the next piece; return it in whole characters, with the half held before."""
        if not self._high and text.isascii():
            return text
        text = self._high + text
        self._high = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return well_formed(text[:-1] if self._high else text)

    def end(self) -> str:
        """Return what is held: a half whose other one never came."""
        high, self._high = self._high, ""
        return well_formed(high)
