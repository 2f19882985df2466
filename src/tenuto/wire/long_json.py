"""JSON that holds long texts, written piece by piece."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from typing import Final

from pydantic_core import to_json

from tenuto.wire.long_text import PIECE_BYTES, Rope

_QUOTE: Final = b'"'


def json_steps(value: object) -> Generator[None, None, list[bytes]]:
    """Write a value as JSON. Yields between two pieces of work, returns the parts of the JSON.

    Args:
        value: What JSON has, and `Rope` for a text. All other texts together are few enough to
            be written at once.
    """
    ropes: list[Rope] = []
    # Nobody can guess it, so no text of the value is taken for a placeholder.
    secret = secrets.token_hex(16)

    def placeholder(rope: object) -> str:
        assert isinstance(rope, Rope)
        ropes.append(rope)
        return secret

    skeleton = to_json(value, fallback=placeholder)
    if not ropes:
        return [skeleton]
    mark = _QUOTE + secret.encode() + _QUOTE
    parts: list[bytes] = []
    part = bytearray()
    position = 0
    for rope in ropes:
        end = skeleton.index(mark, position)
        part += skeleton[position:end] + _QUOTE
        position = end + len(mark)
        for piece in rope.pieces():
            part += to_json(piece)[1:-1]
            if len(part) >= PIECE_BYTES:
                parts.append(bytes(part))
                part.clear()
                yield
        part += _QUOTE
    parts.append(bytes(part + skeleton[position:]))
    return parts
