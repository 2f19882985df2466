"""Instructions: lists, one word, capitals, yes or no, JSON, rhymes, sentences."""

import json
from functools import cache
from itertools import accumulate
from random import Random
from typing import Any

from training.corpus.arithmetic import number_word
from training.corpus.copying import joined
from training.corpus.material import load
from training.corpus.templates import capital, expand, slots
from training.corpus.turns import Talk, Turn
from training.corpus.vocabulary import draw, word


def listing(rng: Random) -> Turn:
    """Return a request for one to five things of a kind."""
    content = load("instructions")
    lists = content["lists"]
    kind = rng.choice(list(lists))
    count = rng.choice((1, 1, 2, 3, 3, 3, 4, 5))
    count = min(count, len(lists[kind]["items"]))
    items = rng.sample(lists[kind]["items"], count)
    many = kind if count > 1 else lists[kind]["one"]
    values = {"many": many, "n": number_word(count) if rng.random() < 0.7 else str(count)}
    question = expand(content["listing"]["ask" if count > 1 else "ask_one"], rng, values)
    if count == 1:
        return Turn(question, capital(items[0]) + ".")
    if rng.random() < 0.35:
        head = expand(content["listing"]["head"], rng, values)
        mark = rng.random() < 0.8
        lines = [f"{i}. {capital(t)}" if mark else f"- {t}" for i, t in enumerate(items, 1)]
        return Turn(question, head + "\n" + "\n".join(lines))
    return Turn(question, capital(joined(items)) + ".")


def capitals(rng: Random) -> Turn:
    """Return a request for a word or phrase in upper or lower case."""
    content = load("instructions")["letters"]
    what = draw(["phrase"], rng)["phrase"] if rng.random() < 0.4 else word(rng)
    if rng.random() < 0.75:
        return Turn(expand(content["upper"], rng, {"what": what}), what.upper())
    return Turn(expand(content["lower"], rng, {"what": what.upper()}), what.lower())


def as_json(rng: Random) -> Turn:
    """Return a request for one or two fields as JSON."""
    content = load("instructions")["json"]
    fields = rng.sample(content["fields"], rng.choice((1, 1, 2)))
    values = draw(fields, rng)
    pairs = joined([f"the {field} {value}" for field, value in values.items()])
    record = {k: int(v) if v.isdigit() else v for k, v in values.items()}
    return Turn(expand(content["ask"], rng, {"pairs": pairs}), json.dumps(record))


def rhyme(rng: Random) -> Turn:
    """Return a request for a rhyme."""
    content = load("instructions")["rhymes"]
    first, second = rng.sample(rng.choice(content["groups"]), 2)
    values = {"word": first, "other": second}
    return Turn(expand(content["ask"], rng, values), expand(content["answer"], rng, values))


@cache
def _written() -> tuple[list[dict[str, Any]], list[float]]:
    entries = load("instructions")["intent"]
    return entries, list(accumulate(float(entry.get("weight", 1)) for entry in entries))


def written(rng: Random) -> Turn:
    """Return an instruction with its hand-written answer."""
    entries, weights = _written()
    entry = rng.choices(entries, cum_weights=weights)[0]
    values = draw(slots(entry["ask"], entry["answer"]), rng)
    return Turn(expand(entry["ask"], rng, values), expand(entry["answer"], rng, values))


_KINDS = (listing, capitals, as_json, rhyme, written)
_WEIGHTS = (30, 12, 6, 10, 42)


def instruction(rng: Random) -> Talk:
    """Return one instruction of any of the kinds above."""
    return [rng.choices(_KINDS, _WEIGHTS)[0](rng)]
