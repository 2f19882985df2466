"""Jobs whose prompts begin alike: the beginning is computed for one, and the others wait for it.

A runtime with a prefix cache looks into it when a job begins. Jobs that begin together find
nothing there, and each computes the same. So while the prompt of one is being computed, those
that share enough of it are held, and begin when it is in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# Fewer tokens than this cost less than the step that is lost by waiting for them.
_LEAST_SHARED = 128


@dataclass(slots=True)
class _Prompt:
    """A prompt that is being computed, or is held.

    `known` tokens of it are in the cache already, because another job computed them.
    """

    tokens: Sequence[int]
    known: int
    followers: list[int] = field(default_factory=list)


class Prefixes:
    """Decides which jobs begin at once.

    Args:
        block_tokens: Tokens in a block of the cache; only whole blocks are shared.
    """

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._computing: dict[int, _Prompt] = {}
        self._held: dict[int, _Prompt] = {}

    def __len__(self) -> int:
        """How many jobs are held."""
        return len(self._held)

    def begins(self, key: int, tokens: Sequence[int]) -> bool:
        """Takes a job in: True if it is to begin now, False if it is held."""
        return self._begins(key, _Prompt(tokens, 0))

    def computed(self, key: int) -> list[int]:
        """The prompt of a job that had begun is computed: those held for it that begin now.

        Unknown keys are ignored, so it may be called with every token of a job.
        """
        return self._end(key, in_cache=True)

    def drop(self, key: int) -> list[int]:
        """A job is gone, held or begun, before its prompt was computed: those that begin now."""
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
            # They may share more with each other than with the one that is done.
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
        """How many tokens two prompts have in common at their beginning, in whole blocks."""
        size, end = self._block_tokens, min(len(one), len(other))
        start = 0
        while start + size <= end and one[start : start + size] == other[start : start + size]:
            start += size
        return start
