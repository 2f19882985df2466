"""Values for the slots of templates: names, things, made-up words.

Words and names kept for the evaluation (``held_out.toml``) are never drawn.
"""

from collections.abc import Callable
from functools import cache
from random import Random

from training.corpus.material import load

_ONSETS = ["b", "br", "d", "dr", "f", "fl", "g", "gl", "h", "j", "k", "kl", "l", "m", "n", "p"]
_ONSETS += ["pl", "qu", "r", "s", "sk", "sn", "st", "t", "tr", "v", "w", "y", "z", "sh", "th", "ch"]
_VOWELS = ["a", "e", "i", "o", "u", "ee", "oo", "ai", "a", "e", "i", "o", "u"]
_ENDS = ["", "", "b", "ck", "d", "g", "l", "m", "n", "nt", "p", "r", "s", "t", "x", "zz", "rk"]


@cache
def held_out() -> frozenset[str]:
    """All names and words that must never be in training text, in lower case."""
    kept = load("held_out")
    return frozenset(word.lower() for word in kept["names"] + kept["words"])


def made_up(rng: Random) -> str:
    """A word that means nothing, of one to three syllables, such as ``blorkee`` or ``snaitom``."""
    while True:
        syllables = rng.choice((1, 2, 2, 2, 3))
        word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables))
        word += rng.choice(_ENDS)
        if len(word) > 2 and word not in held_out():
            return word


def name(rng: Random) -> str:
    """A first name; one in four is made up, so that names are copied and not guessed."""
    if rng.random() < 0.25:
        return made_up(rng).capitalize()
    names: list[str] = rng.choice((load("words")["girls"], load("words")["boys"]))
    return rng.choice(names)


def word(rng: Random) -> str:
    """An everyday word or a made-up one."""
    if rng.random() < 0.5:
        return made_up(rng)
    words: list[str] = load("words")["word"]
    return rng.choice(words)


def phrase(rng: Random) -> str:
    """One to five words without sense, or a short hand-written sentence without its full stop."""
    if rng.random() < 0.3:
        sentences: list[str] = load("words")["sentence"]
        return rng.choice(sentences)
    return " ".join(word(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4, 5))))


_SPECIAL: dict[str, Callable[[Random], str]] = {
    "name": name,
    "word": word,
    "madeup": made_up,
    "phrase": phrase,
    "surname": lambda rng: rng.choice(load("words")["surnames"]),
    "age": lambda rng: str(rng.randint(5, 90)),
    "few": lambda rng: str(rng.randint(2, 9)),
    "number": lambda rng: str(rng.randint(1, 10 ** rng.randint(1, 4))),
    "big": lambda rng: str(rng.randint(101, 10 ** rng.randint(3, 6))),
}


def draw(names: list[str], rng: Random) -> dict[str, str]:
    """A value for each slot in `names`; slots of one kind (``name``, ``name2``) differ."""
    values: dict[str, str] = {}
    for slot in names:
        kind = slot.rstrip("0123456789")
        taken = {v for k, v in values.items() if k.rstrip("0123456789") == kind}
        while True:
            value = _SPECIAL[kind](rng) if kind in _SPECIAL else rng.choice(load("words")[kind])
            if value not in taken:
                values[slot] = value
                break
    return values
