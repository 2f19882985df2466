"""A completion in the runtime of llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass, field

from tenuto.core.job import Sampling
from tenuto.engine.local.runtimes.llamacpp.lookup import Drafts
from tenuto.engine.local.runtimes.llamacpp.sequence import Sequence


@dataclass(slots=True, eq=False)
class Job:
    """A completion.

    Attributes:
        chain: Its samplers.
        left: Number of tokens that it may still generate.
        sampling: How they are chosen, and what is reported about them.
        prompt: Number of its prompt's tokens.
        written: How many of them, at its end, are of a completion that goes on.
        min_tokens: Number of tokens before it may end by itself.
        ignores_end: Whether it goes on where the model would end.
        reported: Number of the prompt's tokens that are returned, if they are scored.
        cached: Number of its tokens that were cached; None before its first step and after its
            first token.
        held: Whether it has waited for another to compute a prefix.
    """

    key: int
    sequence: Sequence
    chain: int
    left: int
    sampling: Sampling
    prompt: int
    written: int = 0
    min_tokens: int = 0
    ignores_end: bool = False
    reported: int = 0
    cached: int | None = None
    held: bool = False
    drafts: Drafts = field(default_factory=Drafts)

    @property
    def is_scoring(self) -> bool:
        """Whether the tokens computed now are scored."""
        return self.sequence.scores is not None and self.cached is not None

    @property
    def unreported(self) -> int:
        """Number of the prompt's tokens with a known score that are not returned."""
        scores = self.sequence.scores
        return 0 if scores is None else min(scores.known, self.prompt) - self.reported

    def most(self, alike: int) -> int:
        """Return how many tokens may be computed next.

        Those of a completion that goes on are apart from the prompt before them, at most `alike` at
        once.
        """
        left = self.sequence.length - self.sequence.computed
        return left - self.written if left > self.written else min(left, alike)

    def rows(self, count: int) -> int:
        """Return the number of logits needed of its next `count` tokens."""
        if self.is_scoring:
            return count
        is_last = self.sequence.computed + count == self.sequence.length
        return is_last * (1 + self.drafts.size)
