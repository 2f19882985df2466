"""Looks up a header where one is wanted, and not a view of all of them."""

from __future__ import annotations

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of a request with this name, in lower case; None without one."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


def combined(scope: Scope, name: bytes) -> str | None:
    """All headers with this name as one, joined by commas as RFC 9110, 5.2; None without one."""
    values = [value for key, value in scope["headers"] if key == name]
    return b", ".join(values).decode("latin-1") if values else None


def agreed(values: list[str]) -> str | None:
    """The value of a header that may be there once, of all that were sent.

    A proxy may add a header that is there already, or join two with a comma. The same value twice
    is that value.

    Returns:
        The value, None without one.

    Raises:
        ValueError: Different values were sent.
    """
    if not values:
        return None
    parts = {part.strip() for value in values for part in value.split(",")}
    if len(parts) == 1:
        return parts.pop()
    if len(values) == 1:
        return values[0]
    raise ValueError("different values")
