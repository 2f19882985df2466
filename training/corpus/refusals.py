"""Polite refusals of requests beyond the model."""

from functools import cache
from random import Random
from typing import Any

from training.corpus.conversation import answer_intent, weighted_intents
from training.corpus.turns import Talk


@cache
def _refusals() -> tuple[list[dict[str, Any]], list[float]]:
    return weighted_intents("refusals")


def refusal(rng: Random) -> Talk:
    """Return one request that is too hard, and the refusal."""
    intents, weights = _refusals()
    return [answer_intent(rng.choices(intents, cum_weights=weights)[0], rng)]
