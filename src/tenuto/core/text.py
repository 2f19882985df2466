"""Text that may hold halves of characters.

Templates, file names and upstreams may bring lone surrogates, which JSON's escapes can express and
UTF-8 cannot. A response must not fail because of them.
"""

from __future__ import annotations


def encoded(text: str) -> bytes:
    """Text in UTF-8. Two halves that belong together become a character, others U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return well_formed(text).encode()


def well_formed(text: str) -> str:
    """The same text, without lone surrogates."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
