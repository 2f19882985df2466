"""Write JSON with long texts piece by piece."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

from pydantic_core import to_json

from tenuto.core.long_text import PIECE_BYTES, Rope

# Small values that take less than a millisecond together.
_VALUES_AT_ONCE: Final = 256


def json_steps(value: object) -> Generator[None, None, list[bytes]]:
    """Write a value, whose long texts are each a `Rope`, as JSON in parts.

    Yield between pieces of work.
    """
    try:
        return [to_json(value)]
    except ValueError:
        pass  # The value holds a rope.
    parts: list[bytes] = []
    part = bytearray()
    for number, data in enumerate(_written(value)):
        part += data
        if len(part) >= PIECE_BYTES:
            parts.append(bytes(part))
            part.clear()
            yield
        elif number % _VALUES_AT_ONCE == _VALUES_AT_ONCE - 1:
            yield
    return [*parts, bytes(part)]


def _written(value: object) -> Iterator[bytes]:
    if isinstance(value, Rope):
        yield b'"'
        for piece in value.pieces():
            yield to_json(piece)[1:-1]
        yield b'"'
    elif isinstance(value, dict):
        for number, (name, inner) in enumerate(value.items()):
            yield (b"," if number else b"{") + to_json(name) + b":"
            yield from _written(inner)
        yield b"}" if value else b"{}"
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield b"," if number else b"["
            yield from _written(inner)
        yield b"]" if value else b"[]"
    else:
        yield to_json(value)
