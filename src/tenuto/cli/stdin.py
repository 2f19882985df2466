"""Read text from standard input."""

from __future__ import annotations

import codecs
import sys

from tenuto.cli.failure import Failure


def read_text() -> str:
    """Return all of standard input, with Unix line ends.

    Raises:
        Failure: It is not UTF-8, or cannot be read.
    """
    try:
        # Bytes, because Python's decoding depends on the locale.
        binary = getattr(sys.stdin, "buffer", None)
        content = sys.stdin.read().encode() if binary is None else binary.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is closed"
        raise Failure(f"standard input cannot be read: {reason}", 2) from None
    return decoded(content, "standard input")


def decoded(content: bytes, name: str) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Raises:
        Failure: It is not UTF-8.
    """
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        if content.startswith(mark):
            raise Failure(f"{name} is UTF-16; it must be UTF-8", 2)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"0x{content[error.start]:02x}"
        raise Failure(f"{name} is not UTF-8, byte {error.start} ({byte})", 2) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
