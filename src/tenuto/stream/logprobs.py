"""Log probabilities leave with the text of their tokens, and are cut off with it.

Stop matching holds text back, and drops what comes after a match. A token leaves in the event that
has its last character. So the tokens of a completion are those that lie in it whole; a token that
overlaps a stop sequence is omitted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tenuto.core.job import TokenLogprob


class LogprobQueue:
    """Tokens in, as the engine reports them; out, as their text leaves."""

    def __init__(self) -> None:
        self._waiting: deque[TokenLogprob] = deque()
        self._left = 0

    def push(self, tokens: Iterable[TokenLogprob]) -> None:
        """Take the next tokens, in the order of the text."""
        self._waiting += tokens

    def release(self, characters: int = 0) -> tuple[TokenLogprob, ...]:
        """Let that many more characters leave; return the tokens that they complete."""
        self._left += characters
        released: list[TokenLogprob] = []
        while self._waiting and self._waiting[0].end <= self._left:
            released.append(self._waiting.popleft())
        return tuple(released)
