"""Hold jobs back while another job computes the prefix that their prompts share.

A runtime with a prefix cache looks into it when a job begins. Jobs that begin together would miss
it, and each would compute the same prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# Fewer shared tokens cost less than the step that is lost by waiting for them.
_LEAST_SHARED = 128


@dataclass(slots=True)
class _Prompt:
    """A prompt that is computed or held; its first `known` tokens are in the cache."""

    tokens: Sequence[int]
    known: int
    followers: list[int] = field(default_factory=list)


class Prefixes:
    """Decide which jobs begin at once.

    Args:
        block_tokens: Tokens in a block of the cache; only whole blocks are shared.
    """

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._computing: dict[int, _Prompt] = {}
        self._held: dict[int, _Prompt] = {}

    def begins(self, key: int, tokens: Sequence[int]) -> bool:
        """Add a job. Return True to begin it now, False while it is held."""
        return self._begins(key, _Prompt(tokens, 0))

    def computed(self, key: int) -> list[int]:
        """Return the held jobs to begin after the prompt of a job is computed.

        Unknown keys are ignored, so it may be called for every token of a job.
        """
        return self._end(key, in_cache=True)

    def drop(self, key: int) -> list[int]:
        """Remove a job before its prompt is computed. Return the held jobs to begin."""
        self._held.pop(key, None)
        return self._end(key, in_cache=False)

    def _end(self, key: int, *, in_cache: bool) -> list[int]:
        leader = self._computing.pop(key, None)
        if leader is None:
            return []
        begin = []
        for follower in leader.followers:
            prompt = self._held.pop(follower, None)
            if prompt is None:
                continue
            if in_cache:
                prompt.known = max(prompt.known, self._shared(prompt.tokens, leader.tokens))
            # Followers may share more with each other than with the leader.
            if self._begins(follower, prompt):
                begin.append(follower)
        return begin

    def _begins(self, key: int, prompt: _Prompt) -> bool:
        leader, most = None, 0
        for other in self._computing.values():
            shared = self._shared(prompt.tokens, other.tokens)
            prompt.known = max(prompt.known, min(shared, other.known))
            if shared > most:
                leader, most = other, shared
        if leader is None or most - prompt.known < _LEAST_SHARED:
            self._computing[key] = prompt
            return True
        leader.followers.append(key)
        self._held[key] = prompt
        return False

    def _shared(self, one: Sequence[int], other: Sequence[int]) -> int:
        """Return the length of the common prefix of two prompts, in whole blocks."""
        size, end = self._block_tokens, min(len(one), len(other))
        start = 0
        while start + size <= end and one[start : start + size] == other[start : start + size]:
            start += size
        return start
