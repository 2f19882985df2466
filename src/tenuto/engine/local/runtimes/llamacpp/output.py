"""Output of a step: bytes and log probabilities of tokens."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from tenuto.engine.local.runtime import Delta, Ending, ScoredToken
from tenuto.engine.local.runtimes.llamacpp.job import Job
from tenuto.engine.local.runtimes.llamacpp.model import Model
from tenuto.engine.local.runtimes.llamacpp.sampling import Sampler
from tenuto.engine.local.runtimes.llamacpp.sequence import TOKEN_BYTES


class Output:
    """Deltas of jobs.

    Args:
        model: Bytes of tokens.
        sampler: Log probabilities.
    """

    def __init__(self, model: Model, sampler: Sampler) -> None:
        self._model, self._sampler = model, sampler

    def write(self, job: Job, places: range, tokens: Sequence[int | None]) -> Delta:
        """Append sampled tokens to a job, up to one that ends it.

        Args:
            job: The job.
            places: Places of the logits of each token, and perhaps more.
            tokens: At least one; None where the logits are not numbers.
        """
        model, ids = self._model, job.sequence.ids
        ending: Ending | None = None
        data: list[bytes] = []
        scored: list[ScoredToken] = []
        for place, token in zip(places, tokens, strict=False):
            if token is None:
                ending = "broke"
                break
            data.append(model[token])
            ids += array("i", (token,)).tobytes()
            if job.logprobs is not None and model[token]:
                scored.append(self._score(place, token, job.logprobs))
            job.left -= 1
            if model.ends(token) or job.left == 0:
                ending = "end" if model.ends(token) else "length"
                break
        cached, job.cached = job.cached, None
        return Delta(job.key, b"".join(data), len(data), ending, tuple(scored), cached)

    def score_prompt(self, job: Job, places: range) -> Delta:
        """Return the log probabilities of the tokens that follow those just computed."""
        computed = job.sequence.computed
        following = slice((computed - len(places) + 1) * TOKEN_BYTES, (computed + 1) * TOKEN_BYTES)
        # The token after the prompt is not sampled yet.
        tokens = array("i", bytes(job.sequence.ids[following]))
        scored = [
            self._score(place, token, job.logprobs or 0)
            for place, token in zip(places, tokens, strict=False)
        ]
        return Delta(job.key, b"", 0, None, prompt=tuple(scored))

    def _score(self, place: int, token: int, most: int) -> ScoredToken:
        name = self._model.name
        logprob, top = self._sampler.score(place, token, most)
        return ScoredToken(
            name(token), logprob, tuple((name(other), value) for other, value in top)
        )
