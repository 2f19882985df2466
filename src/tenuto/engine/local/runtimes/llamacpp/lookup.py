"""Drafts of the next tokens: what followed the last ones earlier in prompt or completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tenuto.engine.local.runtimes.llamacpp.sequence import TOKEN_BYTES, Sequence

# Tokens that must occur again.
_MATCH: Final = 3
_FIRST, _LONGEST = 4, 15
# Tokens without a draft after one that was wrong at once.
_PAUSE: Final = 8


@dataclass(slots=True)
class Drafts:
    """Drafts for one job; shorter after errors, longer after success.

    Attributes:
        size: Number of tokens in the current draft.
    """

    size: int = 0
    _next: int = _FIRST
    _pause: int = 0

    def find(self, sequence: Sequence, most: int) -> bytes:
        """Return a draft of at most `most` tokens, as 32-bit numbers; empty if none is found."""
        self.size = 0
        if self._pause:
            self._pause -= 1
            return b""
        ids, width = sequence.ids, _MATCH * TOKEN_BYTES
        if len(ids) <= width:
            return b""
        tail, end = ids[-width:], len(ids) - 1
        while (start := ids.rfind(tail, 0, end)) >= 0:
            if start % TOKEN_BYTES == 0:
                start += width
                draft = bytes(ids[start : start + min(most, self._next) * TOKEN_BYTES])
                self.size = len(draft) // TOKEN_BYTES
                return draft
            end = start + width - 1
        return b""

    def accepted(self, count: int) -> None:
        """Report how many tokens of the draft were right."""
        if not self.size:
            return
        if count == self.size:
            self._next = min(2 * self._next, _LONGEST)
        else:
            self._next = max(2, count)
            self._pause = 0 if count else _PAUSE
