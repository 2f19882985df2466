"""Values for the slots of templates: names, things, made-up words.

Words and names of the evaluation (``held_out.toml``) are never drawn.
"""

import re
from collections.abc import Callable
from functools import cache
from random import Random

from training.corpus.material import FOLDER, load

_ONSETS = ["b", "br", "d", "dr", "f", "fl", "g", "gl", "h", "j", "k", "kl", "l", "m", "n", "p"]
_ONSETS += ["pl", "qu", "r", "s", "sk", "sn", "st", "t", "tr", "v", "w", "y", "z", "sh", "th", "ch"]
_VOWELS = ["a", "e", "i", "o", "u", "ee", "oo", "ai", "a", "e", "i", "o", "u"]
_ENDS = ["", "", "b", "ck", "d", "g", "l", "m", "n", "nt", "p", "r", "s", "t", "x", "zz", "rk"]


@cache
def held_out() -> frozenset[str]:
    """Return the names and words that must not occur in training text, in lower case."""
    content = load("held_out")
    return frozenset(word.lower() for word in content["names"] + content["words"])


def _syllables(rng: Random) -> str:
    """Return one to three syllables, such as ``blorkee`` or ``snaitom``."""
    syllables = rng.choice((1, 2, 2, 2, 3))
    word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables))
    return word + rng.choice(_ENDS)


def _letters(rng: Random) -> str:
    """Return three to eight letters, mostly alternating vowels and consonants."""
    vowel = rng.random() < 0.4
    word = ""
    for _ in range(rng.randint(3, 8)):
        word += rng.choice("aaeeeiioou" if vowel else "bcddfgghjkllmmnnpprrssttvwxyz")
        vowel = rng.random() < 0.25 if vowel else rng.random() < 0.75
    return word


@cache
def _whole_words() -> list[str]:
    """Return every word of the material, in lower case, sorted."""
    texts = (path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.toml")))
    words = {word.lower() for text in texts for word in re.findall(r"[^\W\d_]{2,}", text)}
    return sorted(words - held_out())


def _spliced(rng: Random) -> str:
    """Return pieces of two or three words, mostly a beginning and an end (``kettlodil``).

    The tokenizer learns its tokens from words, so words must be split in every way for every token
    to occur here: the model cannot copy a token that it never copied in training.
    """
    words = _whole_words()
    pieces = []
    for place in range(rng.choice((2, 2, 3))):
        word = rng.choice(words)
        length = rng.randint(1, min(7, len(word)))
        start = 0 if place == 0 else len(word) - length
        if place and rng.random() < 0.35:
            start = rng.randint(0, len(word) - length)
        pieces.append(word[start : start + length])
    return "".join(pieces)


def made_up(rng: Random) -> str:
    """Return a made-up word, built in one of three ways.

    Every piece of a word must occur: from a few repeated syllables, a model learns to guess instead
    of copying.
    """
    while True:
        word = rng.choices((_spliced, _syllables, _letters), (70, 15, 15))[0](rng)
        if 2 < len(word) < 15 and word.isalpha() and word not in held_out():
            return word


def rare_name(rng: Random) -> str:
    """Return a rare first name."""
    names: list[str] = load("rare")["names"]
    return rng.choice(names)


def name(rng: Random) -> str:
    """Return a common, rare or made-up first name, so that names are copied and not guessed."""
    chance = rng.random()
    if chance < 0.45:
        return made_up(rng).capitalize()
    if chance < 0.75:
        return rare_name(rng)
    names: list[str] = rng.choice((load("words")["girls"], load("words")["boys"]))
    return rng.choice(names)


def word(rng: Random) -> str:
    """Return a made-up, rare or everyday word."""
    chance = rng.random()
    if chance < 0.55:
        return made_up(rng)
    words: list[str] = load("rare")["words"] if chance < 0.8 else load("words")["word"]
    return rng.choice(words)


def phrase(rng: Random) -> str:
    """Return one to six random words, or a short hand-written sentence without its full stop."""
    if rng.random() < 0.2:
        sentences: list[str] = load("words")["sentence"]
        return rng.choice(sentences)
    return " ".join(word(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 2, 3, 4, 5, 6))))


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
    """Return a value for each slot in `names`; slots of one kind (``name``, ``name2``) differ."""
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
