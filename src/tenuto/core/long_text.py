"""Texts that are too long for one step of the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

PIECE_BYTES: Final = 64 * 1024
"""Most bytes of one step, so that it takes less than a millisecond."""

STAYS_LONG_BYTES: Final = 128 * 1024
"""A text of fewer bytes is a `str`."""


class LongText:
    """A text as UTF-8, of the size that it had in its request.

    As a `str`, one emoji among 32 MB of letters would make it 128 MB.

    Args:
        data: The text. The caller must not change it afterwards.
        is_unicode: False if the text held a lone surrogate, which UTF-8 cannot express.
    """

    __slots__ = ("data", "is_unicode")

    def __init__(self, data: bytes | bytearray, *, is_unicode: bool = True) -> None:
        self.data: Final = data
        self.is_unicode: Final = is_unicode

    def __str__(self) -> str:
        return self.data.decode()

    def __repr__(self) -> str:
        """Return the size: a text may be a prompt, which must not be logged."""
        return f"<LongText of {len(self.data)} bytes>"

    def __eq__(self, other: object) -> bool:
        return self.data == other.data if isinstance(other, LongText) else NotImplemented

    def start(self, characters: int) -> str:
        """Return the first characters."""
        return self.data[: 4 * characters].decode("utf-8", "ignore")[:characters]

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[str]:
        """Yield the text between two byte offsets, in pieces of whole characters."""
        end = len(self.data) if end is None else end
        while start < end:
            cut = character_start(self.data, min(start + PIECE_BYTES, end))
            # Never empty, because both offsets are between characters.
            yield self.data[start:cut].decode()
            start = cut


def character_start(data: bytes | bytearray, at: int) -> int:
    """Return the start of the character that an offset in UTF-8 lies in."""
    while 0 < at < len(data) and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


class Rope:
    """A text made of parts without copying them.

    Args:
        parts: Texts, and spans of long ones with their byte offsets. At least one is not empty.
    """

    __slots__ = ("_parts",)

    def __init__(self, *parts: str | tuple[LongText, int, int]) -> None:
        self._parts = parts

    def __str__(self) -> str:
        return "".join(self.pieces())

    def __repr__(self) -> str:
        """Return the size: a text may be a prompt, which must not be logged."""
        return f"<Rope of {self.size} bytes>"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, str | Rope) else NotImplemented

    @property
    def size(self) -> int:
        """The length of the text in bytes of UTF-8."""
        return sum(
            len(part.encode()) if isinstance(part, str) else part[2] - part[1]
            for part in self._parts
        )

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces of whole characters."""
        for part in self._parts:
            if isinstance(part, str):
                yield part
            else:
                source, start, end = part
                yield from source.pieces(start, end)

    @staticmethod
    def joined(*texts: Text) -> Text:
        """Join texts; the result is a `Rope` if one of them is."""
        if not any(isinstance(text, Rope) for text in texts):
            return "".join(map(str, texts))
        parts: list[str | tuple[LongText, int, int]] = []
        for text in texts:
            parts += text._parts if isinstance(text, Rope) else [text]
        return Rope(*parts)


Text: TypeAlias = str | Rope
"""A text that may be long."""
