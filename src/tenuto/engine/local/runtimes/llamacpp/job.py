"""A completion in the runtime of llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass, field

from tenuto.engine.local.runtimes.llamacpp.lookup import Drafts
from tenuto.engine.local.runtimes.llamacpp.sequence import Sequence


@dataclass(slots=True, eq=False)
class Job:
    """A completion.

    Attributes:
        chain: Its samplers.
        left: Number of tokens that it may still generate.
        scores_prompt: Whether the log probabilities of its prompt's tokens are returned.
        cached: Number of its tokens that were cached; None before its first step and after its
            first token.
        held: Whether it has waited for another to compute a prefix.
    """

    key: int
    sequence: Sequence
    chain: int
    left: int
    logprobs: int | None
    scores_prompt: bool = False
    cached: int | None = None
    held: bool = False
    drafts: Drafts = field(default_factory=Drafts)

    @property
    def is_scoring(self) -> bool:
        """Whether the tokens computed now are scored."""
        return self.scores_prompt and self.cached is not None

    def rows(self, count: int) -> int:
        """Return the number of logits needed of its next `count` tokens."""
        if self.is_scoring:
            return count
        is_last = self.sequence.computed + count == self.sequence.length
        return is_last * (1 + self.drafts.size)
