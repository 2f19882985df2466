"""Graded questions for the trained model: what it must know, and what it must be able to copy.

Facts and sums are asked as in the training text, except where the skill says "new phrasing".
Names, words, greetings, questions of identity and whole ways of telling and asking are those of
``held_out.toml``, never trained on.
"""

import re
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from training.corpus import facts
from training.corpus.arithmetic import TOP
from training.corpus.material import load


class Question(NamedTuple):
    """A prompt in the legacy form, and the pattern that a right answer contains."""

    skill: str
    prompt: str
    accept: str

    def right(self, answer: str) -> bool:
        """Whether `answer`, the text up to the stop sequence, is right (case aside)."""
        return re.search(self.accept, answer, re.IGNORECASE) is not None


class StoryRequest(NamedTuple):
    """A prompt that asks for a story, and the name that its hero must have, if it says one."""

    prompt: str
    hero: str | None


def prompt(*humans: str, replies: tuple[str, ...] = ()) -> str:
    """The legacy prompt of a talk that waits for the answer to the last of `humans`."""
    text = ""
    for number, human in enumerate(humans):
        text += f"\n\nHuman: {human}\n\nAssistant:"
        if number < len(humans) - 1:
            text += f" {replies[number]}"
    return text


def _word(text: str) -> str:
    return rf"(?<!\w){re.escape(text)}(?!\w)"


def _table(name: str, *needs: str) -> list[dict[str, str]]:
    form = next(form for form in facts.forms() if form.table == name)
    return [row for row in form.rows if all(row[column] for column in needs)]


def _facts() -> Iterator[Question]:
    for row in _table("capitals"):
        accept = _word(row["capital"].split(",")[0])
        asked = f"What is the capital of {row['country']}?"
        yield Question("capitals", prompt(asked), accept)
        asked = f"I would like to know the capital of {row['country']}."
        yield Question("capitals, new phrasing", prompt(asked), accept)
    for row in _table("animals", "sound"):
        asked = f"Which sound do {row['plural']} make?"
        yield Question("animal sounds", prompt(asked), _word(row["sound"]))
    for row in _table("opposites"):
        for one, other in ((row["one"], row["other"]), (row["other"], row["one"])):
            asked = f"What is the opposite of {one}?"
            yield Question("opposites", prompt(asked), _word(other))


def _sums() -> Iterator[Question]:
    for first in range(TOP + 1):
        for second in range(TOP + 1 - first):
            asked = f"What is {first} plus {second}?"
            accept = rf"(?:\b(?:is|makes)|=)\s*{first + second}(?!\d)|^\s*{first + second}\W*$"
            yield Question("sums to 20", prompt(asked), accept)


def _names() -> Iterator[Question]:
    kept = load("held_out")
    for name in kept["names"]:
        talk = prompt(
            f"My name is {name}.", "What is my name?", replies=(f"Nice to meet you, {name}!",)
        )
        yield Question("name recall", talk, _word(name))
        talk = prompt(
            f"Hi, I am {name}.",
            "What is the capital of France?",
            "Who am I?",
            replies=("Hello! How can I help you?", "The capital of France is Paris."),
        )
        yield Question("name recall, at a distance", talk, _word(name))
        for way in kept["recall"]:
            yield _told_and_asked("name recall, new phrasing", way, name)


def _told_and_asked(skill: str, way: dict[str, str], it: str) -> Question:
    talk = prompt(way["tell"].replace("<it>", it), way["ask"], replies=(way["reply"],))
    return Question(skill, talk, _word(it))


def _favorites() -> Iterator[Question]:
    kept = load("held_out")
    kinds: dict[str, str] = load("copying")["favorite"]["kinds"]
    for kind, values in kinds.items():
        liked = load("words").get(values, kept["words"])[:3]
        for it in liked:
            way = {
                "tell": f"My favorite {kind} is <it>.",
                "reply": "That is nice.",
                "ask": f"What is my favorite {kind}?",
            }
            yield _told_and_asked("favorite thing recalled", way, it)
    for way in kept["favorite"]:
        for it in way["values"]:
            yield _told_and_asked("favorite thing recalled, new phrasing", way, it)


def _repeating() -> Iterator[Question]:
    kept = load("held_out")
    words = kept["words"]
    for number, word in enumerate(words):
        yield Question("repeat after me", prompt(f"Repeat after me: {word}"), _only(word))
        pair = f"{word} {words[number - 1]}"
        yield Question("repeat two words", prompt(f"Please say: {pair}"), _only(pair))
        for way in kept["repeat"]["ask"]:
            asked = prompt(way.replace("<it>", word))
            yield Question("repeat after me, new phrasing", asked, _only(word))


def _only(text: str) -> str:
    return rf"^\W*{re.escape(text)}\W*$"


def _manners() -> Iterator[Question]:
    kept = load("held_out")
    for greeting in kept["greetings"]:
        accept = r"\b(hello|hi|hey|good (day|morning|evening)|how can i help|what can i do)\b"
        yield Question("greetings", prompt(greeting), accept)
    for asked in kept["identity"]:
        yield Question("identity", prompt(asked), r"tenuto")


def questions() -> Iterator[Question]:
    """All questions, skill by skill."""
    yield from _facts()
    yield from _sums()
    yield from _names()
    yield from _favorites()
    yield from _repeating()
    yield from _manners()


def story_requests() -> dict[str, list[StoryRequest]]:
    """Requests for stories by skill: such as training has them, and such as it has not.

    Every new name comes with each of the ways of ``ask``, and with two of those of ``further``.
    """
    beasts, new = load("stories")["beasts"], load("held_out")["stories"]
    known = [StoryRequest(prompt(f"Tell me a story about a {beast}."), None) for beast in beasts]
    return {
        "stories": known,
        "stories, new phrasing and names": _new_stories(new["ask"], len(new["ask"])),
        "stories, further phrasing": _new_stories(new["further"], 2),
    }


def _new_stories(ways: list[str], rounds: int) -> list[StoryRequest]:
    """`rounds` requests for each new name, the ways and the kinds of hero taken in turn."""
    kinds: list[str] = load("held_out")["stories"]["kinds"]
    asked = []
    for shift, (number, name) in product(range(rounds), enumerate(load("held_out")["names"])):
        kind, way = kinds[(number + shift) % len(kinds)], ways[(number + shift) % len(ways)]
        asked.append(
            StoryRequest(prompt(way.replace("<kind>", kind).replace("<name>", name)), name)
        )
    return asked
