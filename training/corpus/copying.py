"""Copying from the prompt: recalling what was told, repeating words, picking from a list."""

from functools import cache
from itertools import accumulate
from random import Random
from typing import Any

from training.corpus.arithmetic import number_word
from training.corpus.material import load
from training.corpus.templates import capital, expand, slots
from training.corpus.turns import Kind, Talk, Turn
from training.corpus.vocabulary import draw, made_up, name, word


@cache
def _recalls() -> tuple[list[dict[str, Any]], list[float]]:
    entries = load("copying")["recall"]
    return entries, list(accumulate(float(entry.get("weight", 1)) for entry in entries))


def recall(rng: Random, between: Kind) -> Talk:
    """Something is told, perhaps talk of other things comes `between`, then it is asked for."""
    entries, weights = _recalls()
    entry = rng.choices(entries, cum_weights=weights)[0]
    values = draw(slots(entry["tell"], entry["ask"], entry["answer"]), rng)
    tell = expand(entry["tell"], rng, values)
    last = Turn(expand(entry["ask"], rng, values), expand(entry["answer"], rng, values))
    if rng.random() < entry.get("at_once", 0.3):
        return [Turn(f"{tell} {last.human}", last.assistant)]
    told = Turn(tell, expand(entry["reply"], rng, values))
    others = between(rng)[:2] if rng.random() < 0.4 else []
    asked = [last]
    if rng.random() < 0.3:  # the same asked twice in other words is one more chance to learn it
        more = between(rng)[:1] if rng.random() < 0.3 else []
        again = Turn(expand(entry["ask"], rng, values), expand(entry["answer"], rng, values))
        asked += [*more, again]
    return [told, *others, *asked]


def profile(rng: Random, between: Kind) -> Talk:
    """Two to four things that a person tells, all at once or one by one, and then asks for."""
    content = load("copying")
    entries = rng.sample(content["profile"], rng.choice((2, 2, 3, 3, 4)))
    told = []
    for entry in entries:
        values = draw(slots(entry["tell"], entry["ask"], entry["answer"]), rng)
        told.append((entry, values, expand(entry["tell"], rng, values)))
    if rng.random() < 0.6:
        texts = " ".join(text for _, _, text in told)
        talk = [Turn(texts, expand(content["told"]["heard"], rng))]
    else:
        talk = [Turn(text, expand(content["told"]["heard"], rng)) for _, _, text in told]
    if rng.random() < 0.25:
        talk += between(rng)[:1]
    for entry, values, _ in rng.sample(told, rng.randint(1, len(told))):
        talk.append(Turn(expand(entry["ask"], rng, values), expand(entry["answer"], rng, values)))
    return talk


@cache
def _statements() -> tuple[list[dict[str, Any]], list[float]]:
    entries = load("copying")["statement"]
    return entries, list(accumulate(float(entry.get("weight", 1)) for entry in entries))


def statement(rng: Random, between: Kind) -> Talk:
    """One statement, and a question that it answers; at times both in one turn."""
    entries, weights = _statements()
    entry = rng.choices(entries, cum_weights=weights)[0]
    values = draw(slots(entry["tell"], entry["ask"], entry["answer"]), rng)
    tell, ask, answer = (expand(entry[part], rng, values) for part in ("tell", "ask", "answer"))
    if rng.random() < 0.25:
        return [Turn(f"{tell} {ask}", answer)]
    others = between(rng)[:1] if rng.random() < 0.2 else []
    return [Turn(tell, expand(load("copying")["told"]["heard"], rng)), *others, Turn(ask, answer)]


def favorite(rng: Random, between: Kind) -> Talk:
    """A favourite of any kind, the thing often a made-up word, told and asked for."""
    content = load("copying")["favorite"]
    kinds = rng.sample(list(content["kinds"]), rng.choice((1, 1, 1, 2, 3)))
    talk = []
    asked = []
    for kind in kinds:
        known = content["kinds"][kind]
        liked = draw([known], rng)[known] if known and rng.random() < 0.5 else word(rng)
        values = {"kind": kind, "it": liked}
        talk.append(
            Turn(expand(content["tell"], rng, values), expand(content["reply"], rng, values))
        )
        question = expand(content["ask"], rng, values)
        asked.append(Turn(question, expand(content["answer"], rng, values)))
    rng.shuffle(asked)
    others = between(rng)[:1] if rng.random() < 0.25 else []
    return [*talk, *others, *asked]


def _quoted(text: str, rng: Random) -> str:
    return rng.choice(('"{}"', '"{}"', "'{}'")).format(text)


def repeat(rng: Random, between: Kind) -> Talk:
    """Say this, repeat after me: one to three times in a talk."""
    ways = load("copying")["repeat"]
    turns = []
    for number in range(rng.choice((1, 1, 2, 3, 4))):
        said = draw(["phrase"], rng)["phrase"]
        chance = rng.random()
        if chance < 0.3:
            said = capital(said) if chance < 0.2 else said.title()
        shown = _quoted(said, rng) if rng.random() < 0.15 else said
        end = rng.choice(("", "", "", ".", "!")) if shown == said else ""
        way = rng.choice(ways["again"]) if number else rng.choice(ways["ask"])
        question = expand(way, rng, {"what": shown + end})
        turns.append(Turn(question, said + end))
    if rng.random() < 0.15:
        once = word(rng)
        times = rng.choice((2, 3))
        how_often = {2: "twice", 3: "three times"}[times]
        turns = [
            Turn(
                expand(ways["often"], rng, {"what": once, "often": how_often}),
                " ".join([once] * times),
            )
        ]
    return turns


def _several(rng: Random) -> list[str]:
    """Two to five different words of one kind."""
    pool = rng.choice(("word", "word", "name", "fruit", "animal", "color", "grocery", "number"))
    count = rng.choice((2, 3, 3, 3, 4, 4, 5))
    return list(draw([f"{pool}{i}" for i in range(count)], rng).values())


def joined(items: list[str], last: str = " and ") -> str:
    """``a, b and c``."""
    return ", ".join(items[:-1]) + last + items[-1] if len(items) > 1 else items[0]


def lists(rng: Random, between: Kind) -> Talk:
    """A list is given, and is asked for again, in part, or in another order."""
    items = _several(rng)
    place = rng.randrange(min(3, len(items)))
    values = {
        "list": joined(items) if rng.random() < 0.5 else ", ".join(items),
        "same": joined(items),
        "reversed": ", ".join(reversed(items)),
        "first": items[0],
        "last": items[-1],
        "place": ("first", "second", "third")[place],
        "nth": items[place],
        "count": number_word(len(items)),
        "one": rng.choice(items),
        "lines": "\n".join(f"{i}. {item}" for i, item in enumerate(items, 1)),
        "plain_lines": "\n".join(f"- {item}" for item in items),
    }
    way = rng.choice(load("copying")["list"])
    answer = expand(way["answer"], rng, values)
    if "tell" not in way:
        return [Turn(expand(way["ask"], rng, values), answer)]
    told = Turn(expand(way["tell"], rng, values), expand(way["reply"], rng, values))
    return [told, Turn(expand(way["ask"], rng, values), answer)]


def spelling(rng: Random, between: Kind) -> Talk:
    """Letters of a word."""
    short = [w for w in (word(rng), made_up(rng), name(rng)) if len(w) < 7] or ["cat"]
    what = rng.choice(short)
    way = rng.choice(load("copying")["spelling"])
    values = {
        "what": what,
        "letters": "-".join(what.upper()),
        "initial": what[0].upper(),
        "final": what[-1].upper(),
    }
    return [Turn(expand(way["ask"], rng, values), expand(way["answer"], rng, values))]


def reading(rng: Random, between: Kind) -> Talk:
    """A sentence or two with names and things, and a question that they answer."""
    entry = rng.choice(load("copying")["reading"])
    questions: list[list[str]] = entry["questions"]
    asked = rng.sample(questions, rng.choice((1, 1, min(2, len(questions)))))
    values = draw(slots(entry["text"], *(t for pair in questions for t in pair)), rng)
    text = expand(entry["text"], rng, values)
    turns = [Turn(expand(ask, rng, values), expand(answer, rng, values)) for ask, answer in asked]
    return [Turn(f"{text} {turns[0].human}", turns[0].assistant), *turns[1:]]


def chant(rng: Random) -> str:
    """A few words over and over, as running text: whoever reads it must look back to go on."""
    kind = rng.choice((word, word, name))
    words = [kind(rng) for _ in range(rng.randint(1, 5))]
    between, end = rng.choice(((" ", "."), (", ", "."), (" ", ""), (" and ", "."), ("\n", "")))
    line = between.join(words) + end
    return rng.choice((" ", " ", "\n")).join([line] * rng.randint(3, 5))


_KINDS = (recall, profile, statement, favorite, repeat, lists, spelling, reading)
_WEIGHTS = (26, 9, 14, 10, 28, 6, 2, 5)


def copying(rng: Random, between: Kind) -> Talk:
    """One talk of any of the kinds above."""
    return rng.choices(_KINDS, _WEIGHTS)[0](rng, between)
