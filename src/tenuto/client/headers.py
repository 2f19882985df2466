"""Header names and values, checked before anything is sent. No message holds a value."""

from __future__ import annotations

import re

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LONGEST_SHOWN = 40


def check_value(value: object, what: str) -> None:
    """Check the value of a header.

    Args:
        value: The value.
        what: How the caller knows it, for the message: `api_key`, or the header's name.

    Raises:
        TypeError: It is not a text.
        ValueError: No header can hold it.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if value.isascii() and value.isprintable() and value == value.strip():
        return
    if value != value.strip():
        wrong = "a blank or a line break at its beginning or end; strip it"
    elif not value.isascii():
        wrong = (
            "one outside ASCII, such as a typographic quote or dash, at position "
            f"{next(at for at, letter in enumerate(value) if not letter.isascii())}"
        )
    else:
        wrong = "a line break or another control character"
    raise ValueError(f"{what} holds a character that no header can hold: {wrong}")


def check_name(name: object) -> None:
    """Check the name of a header.

    Raises:
        TypeError: It is not a text.
        ValueError: No header can be called so.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a header must be a str, not {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:_LONGEST_SHOWN]!a} is not a valid name of a header")
