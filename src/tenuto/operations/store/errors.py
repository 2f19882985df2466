"""Errors of the store.

StoreError
├── StoreUnavailable   locked, full, read-only or unreachable
├── UnknownKeyError    no key has this name
├── KeyNameError       the name is not valid, or another key has it
└── SchemaError        a newer version of Tenuto made the store
"""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 200


class StoreError(Exception):
    """The store refuses an operation. The message is one line, without secrets."""


class StoreUnavailable(StoreError):
    """The database does not work now: locked, full, read-only or unreachable."""


class UnknownKeyError(StoreError):
    """No key has the name."""


class KeyNameError(StoreError):
    """The name of a key is not valid, or another key has it."""


class SchemaError(StoreError):
    """A newer version of Tenuto made the store."""


def reason_of(error: BaseException) -> str:
    """Return the first line of a driver's error, at most 200 characters.

    Drivers name the host and the user of a database, never its password.
    """
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:_LONGEST]
