"""Look up single headers of an ASGI scope, faster than by Starlette's view of all."""

from __future__ import annotations

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of a lower-case name, or None."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return all headers of a lower-case name."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def combined(scope: Scope, name: bytes) -> str | None:
    """Return all headers of a name joined by commas (RFC 9110, 5.2), or None."""
    values = header_values(scope, name)
    return ", ".join(values) if values else None
