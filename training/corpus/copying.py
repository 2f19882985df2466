"""Copying from the prompt: recalling statements, repeating words, picking from a list."""

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
    """Return a statement, sometimes other turns from `between`, then a question about it."""
    entries, weights = _recalls()
    entry = rng.choices(entries, cum_weights=weights)[0]
    values = draw(slots(entry["tell"], entry["ask"], entry["answer"]), rng)
    tell = expand(entry["tell"], rng, values)
    last = Turn(expand(entry["ask"], rng, values), expand(entry["answer"], rng, values))
    if rng.random() < entry.get("at_once", 0.3):
        return [Turn(f"{tell} {last.human}", last.assistant)]
    first = Turn(tell, expand(entry["reply"], rng, values))
    others = between(rng)[:2] if rng.random() < 0.4 else []
    questions = [last]
    if rng.random() < 0.3:  # a second question in other words trains the same recall again
        more = between(rng)[:1] if rng.random() < 0.3 else []
        again = Turn(expand(entry["ask"], rng, values), expand(entry["answer"], rng, values))
        questions += [*more, again]
    return [first, *others, *questions]


def profile(rng: Random, between: Kind) -> Talk:
    """Return two to four statements, in one turn or several, then questions about them."""
    content = load("copying")
    entries = rng.sample(content["profile"], rng.choice((2, 2, 3, 3, 4)))
    statements = []
    for entry in entries:
        values = draw(slots(entry["tell"], entry["ask"], entry["answer"]), rng)
        statements.append((entry, values, expand(entry["tell"], rng, values)))
    if rng.random() < 0.6:
        texts = " ".join(text for _, _, text in statements)
        talk = [Turn(texts, expand(content["told"]["heard"], rng))]
    else:
        talk = [Turn(text, expand(content["told"]["heard"], rng)) for _, _, text in statements]
    if rng.random() < 0.25:
        talk += between(rng)[:1]
    for entry, values, _ in rng.sample(statements, rng.randint(1, len(statements))):
        talk.append(Turn(expand(entry["ask"], rng, values), expand(entry["answer"], rng, values)))
    return talk


@cache
def _statements() -> tuple[list[dict[str, Any]], list[float]]:
    entries = load("copying")["statement"]
    return entries, list(accumulate(float(entry.get("weight", 1)) for entry in entries))


def statement(rng: Random, between: Kind) -> Talk:
    """Return one statement and a question about it, sometimes in one turn."""
    entries, weights = _statements()
    entry = rng.choices(entries, cum_weights=weights)[0]
    values = draw(slots(entry["tell"], entry["ask"], entry["answer"]), rng)
    tell, ask, answer = (expand(entry[part], rng, values) for part in ("tell", "ask", "answer"))
    if rng.random() < 0.25:
        return [Turn(f"{tell} {ask}", answer)]
    others = between(rng)[:1] if rng.random() < 0.2 else []
    return [Turn(tell, expand(load("copying")["told"]["heard"], rng)), *others, Turn(ask, answer)]


def favorite(rng: Random, between: Kind) -> Talk:
    """Return one to three favourites, often made-up words, then questions about them."""
    content = load("copying")["favorite"]
    kinds = rng.sample(list(content["kinds"]), rng.choice((1, 1, 1, 2, 3)))
    talk = []
    questions = []
    for kind in kinds:
        known = content["kinds"][kind]
        liked = draw([known], rng)[known] if known and rng.random() < 0.5 else word(rng)
        values = {"kind": kind, "it": liked}
        talk.append(
            Turn(expand(content["tell"], rng, values), expand(content["reply"], rng, values))
        )
        question = expand(content["ask"], rng, values)
        questions.append(Turn(question, expand(content["answer"], rng, values)))
    rng.shuffle(questions)
    others = between(rng)[:1] if rng.random() < 0.25 else []
    return [*talk, *others, *questions]


def _quoted(text: str, rng: Random) -> str:
    return rng.choice(('"{}"', '"{}"', "'{}'")).format(text)


def repeat(rng: Random, between: Kind) -> Talk:
    """Return one to four turns that request the repetition of a phrase."""
    ways = load("copying")["repeat"]
    turns = []
    for number in range(rng.choice((1, 1, 2, 3, 4))):
        phrase = draw(["phrase"], rng)["phrase"]
        chance = rng.random()
        if chance < 0.3:
            phrase = capital(phrase) if chance < 0.2 else phrase.title()
        shown = _quoted(phrase, rng) if rng.random() < 0.15 else phrase
        end = rng.choice(("", "", "", ".", "!")) if shown == phrase else ""
        way = rng.choice(ways["again"]) if number else rng.choice(ways["ask"])
        question = expand(way, rng, {"what": shown + end})
        turns.append(Turn(question, phrase + end))
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
    """Return two to five different words of one kind."""
    pool = rng.choice(("word", "word", "name", "fruit", "animal", "color", "grocery", "number"))
    count = rng.choice((2, 3, 3, 3, 4, 4, 5))
    return list(draw([f"{pool}{i}" for i in range(count)], rng).values())


def joined(items: list[str], last: str = " and ") -> str:
    """Return the items in the form ``a, b and c``."""
    return ", ".join(items[:-1]) + last + items[-1] if len(items) > 1 else items[0]


def lists(rng: Random, between: Kind) -> Talk:
    """Return a list and a question about it, a part of it, or its order."""
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
    first = Turn(expand(way["tell"], rng, values), expand(way["reply"], rng, values))
    return [first, Turn(expand(way["ask"], rng, values), answer)]


def spelling(rng: Random, between: Kind) -> Talk:
    """Return a question about the letters of a word."""
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
    selection = rng.sample(questions, rng.choice((1, 1, min(2, len(questions)))))
    values = draw(slots(entry["text"], *(t for pair in questions for t in pair)), rng)
    text = expand(entry["text"], rng, values)
    turns = [
        Turn(expand(ask, rng, values), expand(answer, rng, values)) for ask, answer in selection
    ]
    return [Turn(f"{text} {turns[0].human}", turns[0].assistant), *turns[1:]]


def chant(rng: Random) -> str:
    """Return repeated words as running text, whose continuation must be copied."""
    kind = rng.choice((word, word, name))
    words = [kind(rng) for _ in range(rng.randint(1, 5))]
    between, end = rng.choice(((" ", "."), (", ", "."), (" ", ""), (" and ", "."), ("\n", "")))
    line = between.join(words) + end
    return rng.choice((" ", " ", "\n")).join([line] * rng.randint(3, 5))


_KINDS = (recall, profile, statement, favorite, repeat, lists, spelling, reading)
_WEIGHTS = (26, 9, 14, 10, 28, 6, 2, 5)


def copying(rng: Random, between: Kind) -> Talk:
    """Return one talk of any of the kinds above."""
    return rng.choices(_KINDS, _WEIGHTS)[0](rng, between)
