"""Identifiers in the form of the API: a prefix and 24 letters and digits."""

from __future__ import annotations

import secrets

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def completion_id() -> str:
    """A fresh `compl_…`, unique for all practical purposes (22 random characters of 58)."""
    return "compl_" + _tail()


def request_id() -> str:
    """A fresh `req_…`, as it stands in the `request-id` header."""
    return "req_" + _tail()


def _tail() -> str:
    # "01" is the form's version, as in the ids that the service gave out.
    return "01" + "".join(secrets.choice(_ALPHABET) for _ in range(22))
