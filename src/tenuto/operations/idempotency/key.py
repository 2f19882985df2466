"""Parse the `idempotency-key` header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tenuto.core.refusal import invalid

HEADER: Final = "idempotency-key"
LONGEST_KEY: Final = 255
"""Most characters of a key, without quotes."""

# A string of RFC 8941, whose only escapes are those of a quote and a backslash.
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPE: Final = re.compile(r"\\(.)")


def parse_key(values: Sequence[str]) -> str:
    """Return the key in the values of the header, of which there is at least one.

    Quotes around a key are optional and no part of it. The same value twice is valid, because a
    proxy may repeat a header.

    Raises:
        Refusal: The values differ, or the key is empty, longer than 255 characters, or not
            printable ASCII.
    """
    first, *others = {value.strip() for value in values}
    if others:
        raise invalid(f"{HEADER}: different values were sent. Send one.")
    if not (first.isascii() and first.isprintable()):
        raise invalid(f"{HEADER}: must be printable ASCII.")
    key = first
    if first.startswith('"'):
        quoted = _QUOTED.fullmatch(first)
        if quoted is None:
            raise invalid(f"{HEADER}: must end with a quote, if it begins with one.")
        key = _ESCAPE.sub(r"\1", quoted[1])
    if not key:
        raise invalid(f"{HEADER}: must not be empty.")
    if len(key) > LONGEST_KEY:
        raise invalid(f"{HEADER}: must be at most {LONGEST_KEY} characters, not {len(key)}.")
    return key
