"""New API keys."""

from __future__ import annotations

import secrets
from typing import Final

_PREFIX: Final = "sk-tenuto-"


def new_key() -> str:
    """Return a new key of 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)
