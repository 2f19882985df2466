"""Documents of the corpus: talks in the legacy format, and plain text."""

from collections.abc import Callable, Iterator
from random import Random

from training.corpus import arithmetic, facts, stories
from training.corpus.conversation import chain, identity, polite, smalltalk
from training.corpus.copying import chant, copying
from training.corpus.instructions import instruction
from training.corpus.material import load
from training.corpus.refusals import refusal
from training.corpus.templates import expand
from training.corpus.turns import Kind, Talk, Turn


def _brief(rng: Random) -> Talk:
    """Return one turn of any kind but copying and stories, for use between other turns."""
    kinds = (smalltalk, identity, facts.fact, arithmetic.sums, instruction)
    while True:
        talk = rng.choices(kinds, (30, 8, 40, 14, 8))[0](rng)[:1]
        # After "My name is Ann", an "I do not know your name" in between would be wrong.
        if "not told me" not in talk[0].assistant:
            return talk


def _mixed(rng: Random) -> Talk:
    return [turn for _ in range(rng.choice((2, 2, 3, 4))) for turn in _brief(rng)]


# Kinds of talk with their frequency per about thousand documents. Copying is the most frequent,
# because it must work for unseen words; facts and sums follow by the number of their rows.
TALKS: list[tuple[str, Kind, int]] = [
    ("copying", lambda rng: copying(rng, _brief), 360),
    ("fact", facts.fact, 140),
    ("facts", facts.facts, 75),
    ("sums", arithmetic.sums, 90),
    ("smalltalk", smalltalk, 115),
    ("mixed", _mixed, 60),
    ("identity", identity, 75),
    ("polite", lambda rng: polite(_brief, rng), 30),
    ("chain", chain, 25),
    ("instruction", instruction, 65),
    ("refusal", refusal, 40),
    ("counting", arithmetic.counting, 20),
    ("story asked for", stories.requested, 130),
]
PLAIN: list[tuple[str, Callable[[Random], str], int]] = [
    ("plain story", stories.plain, 25),
    ("plain facts", facts.plain, 12),
    ("chant", chant, 15),
]

# Talks whose answer copies letters of the question, which therefore must not change.
_EXACT = ("copying", "mixed", "instruction")


def _careless(human: str) -> str:
    """Return `human` in lower case and without its final punctuation."""
    return human.lower().rstrip("?.!") or human


def _render(talk: Talk, rng: Random) -> str:
    """Return the talk in the legacy format, ended by the stop sequence, so the model learns it."""
    frame = load("talks")
    parts = []
    chance = rng.random()
    last = len(talk) - 1
    for number, (human, assistant) in enumerate(talk):
        between, lead = "\n\nAssistant: ", ""
        if number == last:
            if chance < 0.03:  # a prompt that ends in a blank: the answer follows a second blank
                between += " "
            elif (
                chance < 0.04 and "\n\n" not in assistant
            ):  # an answer that the client began (a prefill)
                lead = expand(frame["prefill"], rng) + "\n"
            elif chance < 0.06:
                between = " " + between
        parts.append(f"\n\nHuman: {human}{between}{lead}{assistant}")
    return "".join(parts) + "\n\nHuman:"


def _talk_document(name: str, talk: Talk, rng: Random) -> str:
    if name not in _EXACT and rng.random() < 0.14:
        talk = [Turn(_careless(human), assistant) for human, assistant in talk]
    text = _render(talk, rng)
    frame = load("talks")
    chance = rng.random()
    if chance < 0.02:  # two Human turns, the first without an answer
        return f"\n\nHuman: {expand(frame['unanswered'], rng)}{text}"
    if chance < 0.09:  # a prompt without the leading blank line
        return text.removeprefix("\n\n")
    if chance < 0.15:
        return expand(frame["system"], rng) + text
    return text


def document_of(kind: str, rng: Random) -> str:
    """Return one document of a kind from `TALKS` or `PLAIN`."""
    for name, talk, _ in TALKS:
        if name == kind:
            return _talk_document(name, talk(rng), rng)
    return next(text for name, text, _ in PLAIN if name == kind)(rng)


def document(rng: Random) -> str:
    """Return one document: a talk that ends with the stop sequence, or plain text."""
    weights = {name: weight for name, _, weight in (*TALKS, *PLAIN)}
    return document_of(rng.choices(list(weights), list(weights.values()))[0], rng)


def documents(count: int, seed: int) -> Iterator[str]:
    """Yield `count` documents; the same seed yields the same ones."""
    rng = Random(seed)
    for _ in range(count):
        yield document(rng)
