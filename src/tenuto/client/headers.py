"""Validation of header names and values. Messages never contain a value."""

from __future__ import annotations

import re

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_SHOWN = 40


def check_value(value: object, name: str) -> None:
    """Check the value of a header.

    Args:
        value: The value.
        name: Name of the argument, variable or header, for the message.

    Raises:
        TypeError: The value is not a str.
        ValueError: The value is not valid in a header.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if value.isascii() and value.isprintable() and value == value.strip():
        return
    if value != value.strip():
        fault = "whitespace at its beginning or end; strip it"
    elif not value.isascii():
        position = next(at for at, letter in enumerate(value) if not letter.isascii())
        fault = f"a character outside ASCII, such as a typographic quote, at position {position}"
    else:
        fault = "a line break or another control character"
    raise ValueError(f"{name} is not valid in a header: it contains {fault}")


def check_name(name: object) -> None:
    """Check the name of a header.

    Raises:
        TypeError: The name is not a str.
        ValueError: The name is not a valid header name.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a header must be a str, not {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:_MAX_SHOWN]!a} is not a valid name of a header")
