"""Graded questions for the trained model: facts and sums, and copying from the prompt.

Facts and sums have the phrasing of the training text, except in skills named "new phrasing".
Names, words, greetings, questions of identity and further phrasings come from ``held_out.toml``,
which training never uses.
"""

import re
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from training.corpus import facts
from training.corpus.arithmetic import TOP
from training.corpus.material import load


class Question(NamedTuple):
    """A prompt in the legacy format, and the pattern of a right answer."""

    skill: str
    prompt: str
    accept: str

    def right(self, answer: str) -> bool:
        """Return whether `answer`, the text up to the stop sequence, is right, ignoring case."""
        return re.search(self.accept, answer, re.IGNORECASE) is not None


class StoryRequest(NamedTuple):
    """A prompt for a story, and the required name of its hero, if any."""

    prompt: str
    hero: str | None


def prompt(*humans: str, replies: tuple[str, ...] = ()) -> str:
    """Return the legacy prompt of a talk, up to the answer to the last of `humans`."""
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
        question = f"What is the capital of {row['country']}?"
        yield Question("capitals", prompt(question), accept)
        question = f"I would like to know the capital of {row['country']}."
        yield Question("capitals, new phrasing", prompt(question), accept)
    for row in _table("animals", "sound"):
        question = f"Which sound do {row['plural']} make?"
        yield Question("animal sounds", prompt(question), _word(row["sound"]))
    for row in _table("opposites"):
        for one, other in ((row["one"], row["other"]), (row["other"], row["one"])):
            question = f"What is the opposite of {one}?"
            yield Question("opposites", prompt(question), _word(other))


def _sums() -> Iterator[Question]:
    for first in range(TOP + 1):
        for second in range(TOP + 1 - first):
            question = f"What is {first} plus {second}?"
            accept = rf"(?:\b(?:is|makes)|=)\s*{first + second}(?!\d)|^\s*{first + second}\W*$"
            yield Question("sums to 20", prompt(question), accept)


def _names() -> Iterator[Question]:
    held_out = load("held_out")
    for name in held_out["names"]:
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
        for way in held_out["recall"]:
            yield _recall("name recall, new phrasing", way, name)


def _recall(skill: str, way: dict[str, str], it: str) -> Question:
    talk = prompt(way["tell"].replace("<it>", it), way["ask"], replies=(way["reply"],))
    return Question(skill, talk, _word(it))


def _favorites() -> Iterator[Question]:
    held_out = load("held_out")
    kinds: dict[str, str] = load("copying")["favorite"]["kinds"]
    for kind, values in kinds.items():
        liked = load("words").get(values, held_out["words"])[:3]
        for it in liked:
            way = {
                "tell": f"My favorite {kind} is <it>.",
                "reply": "That is nice.",
                "ask": f"What is my favorite {kind}?",
            }
            yield _recall("favorite thing recalled", way, it)
    for way in held_out["favorite"]:
        for it in way["values"]:
            yield _recall("favorite thing recalled, new phrasing", way, it)


def _repeating() -> Iterator[Question]:
    held_out = load("held_out")
    words = held_out["words"]
    for number, word in enumerate(words):
        yield Question("repeat after me", prompt(f"Repeat after me: {word}"), _only(word))
        pair = f"{word} {words[number - 1]}"
        yield Question("repeat two words", prompt(f"Please say: {pair}"), _only(pair))
        for way in held_out["repeat"]["ask"]:
            question = prompt(way.replace("<it>", word))
            yield Question("repeat after me, new phrasing", question, _only(word))


def _only(text: str) -> str:
    return rf"^\W*{re.escape(text)}\W*$"


def _manners() -> Iterator[Question]:
    held_out = load("held_out")
    for greeting in held_out["greetings"]:
        accept = r"\b(hello|hi|hey|good (day|morning|evening)|how can i help|what can i do)\b"
        yield Question("greetings", prompt(greeting), accept)
    for question in held_out["identity"]:
        yield Question("identity", prompt(question), r"tenuto")


def questions() -> Iterator[Question]:
    """Yield all questions, skill by skill."""
    yield from _facts()
    yield from _sums()
    yield from _names()
    yield from _favorites()
    yield from _repeating()
    yield from _manners()


def story_requests() -> dict[str, list[StoryRequest]]:
    """Return requests for stories by skill, with trained and with held-out phrasings.

    Every held-out name is combined with each phrasing of ``ask`` and two phrasings of ``further``.
    """
    beasts, new = load("stories")["beasts"], load("held_out")["stories"]
    trained = [StoryRequest(prompt(f"Tell me a story about a {beast}."), None) for beast in beasts]
    return {
        "stories": trained,
        "stories, new phrasing and names": _new_stories(new["ask"], len(new["ask"])),
        "stories, further phrasing": _new_stories(new["further"], 2),
    }


def _new_stories(ways: list[str], rounds: int) -> list[StoryRequest]:
    """Return `rounds` requests per held-out name, with phrasings and kinds of hero in turn."""
    kinds: list[str] = load("held_out")["stories"]["kinds"]
    requests = []
    for shift, (number, name) in product(range(rounds), enumerate(load("held_out")["names"])):
        kind, way = kinds[(number + shift) % len(kinds)], ways[(number + shift) % len(ways)]
        requests.append(
            StoryRequest(prompt(way.replace("<kind>", kind).replace("<name>", name)), name)
        )
    return requests
