"""Identifiers in the form of the API: a prefix and 24 letters and digits."""

from __future__ import annotations

import secrets

_ALPHABET = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# Any byte -> a character. Some come a quarter more often than others, which still leaves 22 of
# them with over 128 bits.
_CHARACTERS = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))


def completion_id() -> str:
    """A fresh `compl_…`, unique for all practical purposes (22 random characters of 58)."""
    return "compl_" + _tail()


def request_id() -> str:
    """A fresh `req_…`, as it stands in the `request-id` header."""
    return "req_" + _tail()


def _tail() -> str:
    # "01" is the form's version, as in the ids that the service gave out.
    return "01" + secrets.token_bytes(22).translate(_CHARACTERS).decode()
