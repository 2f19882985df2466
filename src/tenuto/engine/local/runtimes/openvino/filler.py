"""Filler prompts, which keep OpenVINO's prompt steps to few sizes.

The library prepares kernels for the number of tokens in a step, and caches them. So the time to
the first token would reveal whether another caller's prompt had the same length: with release
2026.4 and the built-in model, a cached size saves a third of that time. A filler brings each
prompt step to a multiple of a block's tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

# A block of the KV cache: few sizes, and few wasted tokens.
_MULTIPLE: Final = 32


class Filler:
    """Count the tokens of each step, and fill it up.

    Args:
        batch_tokens: Maximal tokens in a step. Running completions take one each; prompts share
            the rest, in the order in which they began.
    """

    def __init__(self, batch_tokens: int) -> None:
        self._batch_tokens = batch_tokens
        self._unread: dict[int, int] = {}
        # From a real prompt, because a model may be damaged at other tokens.
        self._token: list[int] = []

    def begin(self, key: int, prompt: Sequence[int]) -> None:
        self._unread[key] = len(prompt)
        self._token = list(prompt[:1])

    def next_step(self, jobs: Collection[int]) -> list[int]:
        """Return the filler of the next step, with the keys of all jobs in flight.

        Empty if the step reads no prompt, or is full.
        """
        self._unread = {key: left for key, left in self._unread.items() if left and key in jobs}
        if not self._unread:
            return []
        writing = len(jobs) - len(self._unread)
        tokens = writing + sum(self._unread.values())
        room = max(0, self._batch_tokens - writing)
        for key, left in self._unread.items():
            read = min(left, room)
            room -= read
            self._unread[key] = left - read
        # Not empty unless the step is full, because kernels also depend on the number of prompts.
        size = min(_MULTIPLE - tokens % _MULTIPLE, self._batch_tokens - tokens)
        return self._token * max(0, size)
