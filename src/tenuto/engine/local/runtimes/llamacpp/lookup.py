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
_NOWHERE: Final = -1


@dataclass(slots=True)
class Drafts:
    """Drafts for one job; shorter after errors, longer after success.

    After an error in a text that was copied until then, the next draft continues behind the token
    that differs.

    Attributes:
        size: Number of tokens in the current draft.
    """

    size: int = 0
    _next: int = _FIRST
    _pause: int = 0
    # Offsets in the tokens' bytes: of the current draft, and behind the token that differed.
    _start: int = _NOWHERE
    _behind: int = _NOWHERE

    def find(self, sequence: Sequence, most: int) -> bytes:
        """Return a draft of at most `most` tokens, as 32-bit numbers; empty if none is found."""
        self.size = 0
        if self._pause:
            self._pause -= 1
            return b""
        self._start = _last_match(sequence.ids)
        if self._start != _NOWHERE:
            self._behind = _NOWHERE
        elif self._behind == _NOWHERE:
            return b""
        else:
            self._start = self._behind
        end = self._start + min(most, self._next) * TOKEN_BYTES
        draft = bytes(sequence.ids[self._start : end])
        self.size = len(draft) // TOKEN_BYTES
        if not draft:
            self._behind = _NOWHERE
        return draft

    def accepted(self, count: int) -> None:
        """Report how many tokens of the draft were right."""
        if not self.size:
            return
        tried, self._behind = self._behind, _NOWHERE
        if count == self.size:
            self._next = min(2 * self._next, _LONGEST)
            return
        self._next = max(2, count)
        if count >= _MATCH:
            self._behind = self._start + (count + 1) * TOKEN_BYTES
        elif count == 0 and tried == _NOWHERE:
            self._pause = _PAUSE


def _last_match(ids: bytearray) -> int:
    """Return the offset behind the last earlier occurrence of the last tokens."""
    width = _MATCH * TOKEN_BYTES
    if len(ids) <= width:
        return _NOWHERE
    tail, end = ids[-width:], len(ids) - 1
    while (start := ids.rfind(tail, 0, end)) >= 0:
        if start % TOKEN_BYTES == 0:
            return start + width
        end = start + width - 1
    return _NOWHERE
