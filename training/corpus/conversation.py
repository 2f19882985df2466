"""Small talk, identity, feelings, jokes and poems: question and answer by intent."""

from functools import cache
from itertools import accumulate
from random import Random
from typing import Any

from training.corpus.material import load
from training.corpus.templates import expand, slots
from training.corpus.turns import Kind, Talk, Turn
from training.corpus.vocabulary import draw


def answer_intent(intent: dict[str, Any], rng: Random) -> Turn:
    """Return one turn from an entry with the templates ``ask`` and ``answer``."""
    values = draw(slots(intent["ask"], intent["answer"]), rng)
    return Turn(expand(intent["ask"], rng, values), expand(intent["answer"], rng, values))


def weighted_intents(*files: str) -> tuple[list[dict[str, Any]], list[float]]:
    """Return all entries ``[[intent]]`` of the named files, with their cumulative weights."""
    intents = [intent for file in files for intent in load(file)["intent"]]
    return intents, list(accumulate(float(intent.get("weight", 1)) for intent in intents))


@cache
def _smalltalk() -> tuple[list[dict[str, Any]], list[float]]:
    return weighted_intents("smalltalk")


@cache
def _identity() -> tuple[list[dict[str, Any]], list[float]]:
    return weighted_intents("identity")


def smalltalk(rng: Random) -> Talk:
    """Return one turn of small talk."""
    intents, weights = _smalltalk()
    return [answer_intent(rng.choices(intents, cum_weights=weights)[0], rng)]


def identity(rng: Random) -> Talk:
    """Return one turn about the model and its server."""
    intents, weights = _identity()
    return [answer_intent(rng.choices(intents, cum_weights=weights)[0], rng)]


def chain(rng: Random) -> Talk:
    """Return a talk of several connected turns from ``talks.toml``."""
    turns = rng.choice(load("talks")["talk"])["turns"]
    values = draw(slots(*(text for turn in turns for text in turn)), rng)
    return [Turn(expand(ask, rng, values), expand(answer, rng, values)) for ask, answer in turns]


def polite(talk: Kind, rng: Random) -> Talk:
    """Return `talk` with a greeting before it, thanks after it, or both."""
    frame = load("talks")
    turns = talk(rng)
    if rng.random() < 0.5:
        turns = [answer_intent(frame["before"], rng), *turns]
    if rng.random() < 0.6:
        turns = [*turns, answer_intent(frame["after"], rng)]
    return turns
