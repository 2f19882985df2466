"""How OpenVINO's steps that read prompts are kept to few sizes.

The library prepares its kernels for the number of tokens in a step, and keeps those of the last
sizes. So a prompt as long as one that was read lately is read sooner, whoever sent that one, and
the time to the first token gives its length away. With release 2026.4 and the built-in model it is
a third of that time. A filler, a prompt that nobody sent, brings each such step to a multiple of a
block's tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

# Few sizes, and few tokens that are computed in vain. A filler needs one block of the KV cache.
_MULTIPLE: Final = 32


class Filler:
    """Count the tokens that each step computes, and fill it up.

    Args:
        batch_tokens: Most tokens in a step. Prompts share what the running completions, a token
            each, leave of it, in the order in which they began.
    """

    def __init__(self, batch_tokens: int) -> None:
        self._batch_tokens = batch_tokens
        self._unread: dict[int, int] = {}
        # Of a sound prompt: a model may have damage at tokens that no prompt has.
        self._token: list[int] = []

    def begin(self, key: int, prompt: Sequence[int]) -> None:
        """Note that a job begins, with this prompt."""
        self._unread[key] = len(prompt)
        self._token = list(prompt[:1])

    def next_step(self, jobs: Collection[int]) -> list[int]:
        """Return the tokens of the filler for a step; none if it reads no prompt, or is full.

        Args:
            jobs: The keys of all jobs that have begun and not ended.
        """
        self._unread = {key: left for key, left in self._unread.items() if key in jobs}
        if not self._unread:
            return []
        writing = len(jobs) - len(self._unread)
        tokens = writing + sum(self._unread.values())
        room = max(0, self._batch_tokens - writing)
        for key, left in list(self._unread.items()):
            read = min(left, room)
            room -= read
            if read == left:
                del self._unread[key]
            else:
                self._unread[key] = left - read
        # Never none, unless the step is full: the number of prompts has its own kernels too.
        size = min(_MULTIPLE - tokens % _MULTIPLE, self._batch_tokens - tokens)
        return self._token * max(0, size)
