"""Text that may hold lone surrogates.

Templates, file names and upstreams may contain them: JSON's escapes can express them, UTF-8 cannot.
A response must not fail because of them.
"""

from __future__ import annotations

import re
from typing import Final

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def encoded(text: str) -> bytes:
    """Return a text in UTF-8, made `well_formed` first if need be."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return well_formed(text).encode()


def well_formed(text: str) -> str:
    """Return a text with surrogate pairs joined into characters, and lone surrogates as U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
