"""Drafts preserve the distribution of sampled tokens."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tenuto.core.job import Sampling
from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime
from tests.engine.local.runtimes.contract import load, made, run

pytest.importorskip("xllamacpp")

# After the first sampled token, " dog" or " cat" in most cases, the draft is " sat. The": its
# tokens have probabilities of about a half and a tenth.
PROMPT = "\n\nHuman: The cat sat. The dog sat. The cat sat. The dog sat. The"
RUNS = 480
AT_ONCE = 8
TOKENS = 4

# Categories with fewer tokens are counted as one.
LEAST = 16


def sampled(runtime: LlamaCppRuntime, seeds: range, at_once: int) -> list[Counter[bytes]]:
    """Return how often each token is sampled at each place, one seed a completion."""
    places = [Counter[bytes]() for _ in range(TOKENS)]
    prompt = runtime.encode(PROMPT)
    for start in seeds[::at_once]:
        keys = set(range(start, start + at_once))
        for key in keys:
            runtime.begin(key, prompt, TOKENS, Sampling(1.0, None, None, key, logprobs=0))
        for deltas in run(runtime, keys).values():
            tokens = [token.data for delta in deltas for token in delta.scored]
            for place, token in zip(places, tokens, strict=False):
                place[token] += 1
    return places


def excess(one: Counter[bytes], other: Counter[bytes]) -> float:
    """Compare two samples of one distribution by Pearson's chi-squared test.

    Returns:
        How far the statistic is above its mean, in standard deviations.
    """
    both = one + other
    pairs = [(one[token], other[token]) for token, count in both.items() if count >= LEAST]
    rest = one.total() - sum(a for a, _ in pairs), other.total() - sum(b for _, b in pairs)
    pairs += [rest] * (sum(rest) > 0)
    total = both.total()
    statistic = 0.0
    for pair in pairs:
        for count, sample in zip(pair, (one, other), strict=True):
            expected = sum(pair) * sample.total() / total
            statistic += (count - expected) ** 2 / expected
    freedom = len(pairs) - 1
    assert freedom >= 2
    return (statistic - freedom) / math.sqrt(2 * freedom)


def test_drafts_preserve_the_distribution_of_samples() -> None:
    runtime = made(LlamaCppRuntime, load(max_running=AT_ONCE))
    # Only a completion that runs alone has drafts.
    plain = sampled(runtime, range(RUNS), AT_ONCE)
    before = runtime._steps
    drafted = sampled(runtime, range(RUNS, 2 * RUNS), 1)
    # A step writes more tokens than one where drafts are right.
    assert runtime._steps - before < RUNS * TOKENS * 0.95
    for one, other in zip(plain, drafted, strict=True):
        # By chance, one of a hundred thousand pairs is above 6.
        assert excess(one, other) < 6
