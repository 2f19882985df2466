"""Log probabilities leave with the text of their tokens, and are cut off with it.

Stop matching holds text back, and drops what comes after a match. A token leaves in the event that
has its last character. So the tokens of a completion are those that lie in it whole: of one that
begins in the text and ends in a stop sequence, or behind it, nothing is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tenuto.engine.base import TokenLogprob
from tenuto.wire.extensions import Logprobs


class LogprobQueue:
    """Tokens in, as the engine tells them; out, as their text leaves.

    Args:
        most: See `Job.logprobs`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[TokenLogprob] = deque()
        self._left = 0

    def push(self, tokens: Iterable[TokenLogprob]) -> None:
        """Takes the next tokens, in the order of the text."""
        self._waiting += tokens

    def release(self, characters: int = 0) -> Logprobs:
        """So many more characters leave; gives the tokens that they complete."""
        self._left += characters
        released = Logprobs(top_logprobs=[] if self._most else None)
        while self._waiting and self._waiting[0].end <= self._left:
            token = self._waiting.popleft()
            released.tokens.append(token.token)
            released.token_logprobs.append(token.logprob)
            released.text_offset.append(token.start)
            if released.top_logprobs is not None:
                released.top_logprobs.append(None if token.logprob is None else token.top)
        return released
