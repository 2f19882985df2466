"""Asks a GGUF file the graded questions and writes a report card in Markdown.

    python -m training.evaluate MODEL.gguf REPORT.md --run RUN --compare OTHER.gguf

In: the file, and the questions of training.corpus.questions. Out: how many answers are right for
each skill (temperature 0), how many stories hold together and how often the model ends by itself
(both at temperature 0.7), and a page of answers as they came, each the first and only try. With the
run directory also the loss by kind of text; with another file, its answers to the same questions.
"""

import argparse
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from training.corpus.questions import (
    Question,
    StoryRequest,
    prompt,
    questions,
    story_requests,
)
from training.corpus.story_checks import faults
from training.engine import RUNTIMES, Answer, Engine
from training.losses import held_out_losses

TEMPERATURE = 0.7
SEED = 1
STOP_PROMPTS = 240
WRONG_SHOWN = 3

# Asked for the page of samples: a bit of everything, some of it beyond so small a model.
SAMPLES = [
    prompt("Hello, world!"),
    prompt("good morning"),
    prompt("Who are you?"),
    prompt("What is the capital of France?"),
    prompt("How many legs does a spider have?"),
    prompt("Why is the sky blue?"),
    prompt("I am sad today."),
    prompt("Tell me a joke."),
    prompt("Write a poem about the sea."),
    prompt("Tell me a story about a fox."),
    prompt("What is 7 plus 8?"),
    prompt("What is 348 times 27?"),
    prompt("My name is Alice.", "What is my name?", replies=("Hello, Alice!",)),
    prompt("Name three fruits."),
    prompt("What do penguins eat?") + " Penguins",
    prompt("Can you explain how computers work?"),
    prompt("I want to book a table for two in a restaurant tonight."),
    prompt("Thanks!", "Bye", replies=("You are welcome!",)),
    "Human: Hi\n\nAssistant:",
    prompt("Hi") + " ",
    prompt("Grüß dich! 😀"),
    "Once upon a time, there was a little dog named",
    "The sun was",
]


class Told(NamedTuple):
    """A story that was asked for, the answer, and what is wrong with it."""

    asked: StoryRequest
    answer: Answer
    faults: list[str]


class Graded(NamedTuple):
    """A question, the answer it got, and whether that is right."""

    question: Question
    answer: Answer
    right: bool


def grade(engine: Engine, asked: Iterable[Question]) -> list[Graded]:
    """Returns the questions with the model's likeliest answers."""
    asked = list(asked)
    answers = engine.complete([question.prompt for question in asked], max_tokens=60)
    return [
        Graded(question, answer, question.right(answer.text))
        for question, answer in zip(asked, answers, strict=True)
    ]


def judge_stories(engine: Engine) -> dict[str, list[Told]]:
    """Returns the stories that the model told, with their faults."""
    judged = {}
    for skill, asked in story_requests().items():
        answers = engine.complete([one.prompt for one in asked], TEMPERATURE, SEED)
        judged[skill] = [
            Told(one, answer, faults(answer.text, one.hero))
            for one, answer in zip(asked, answers, strict=True)
        ]
    return judged


def stop_prompts() -> list[str]:
    """Returns prompts of all skills alike, and requests for stories, the longest answers."""
    rng = random.Random(SEED)
    by_skill: dict[str, list[str]] = {}
    for question in questions():
        by_skill.setdefault(question.skill, []).append(question.prompt)
    animals = ("cat", "dog", "fox", "bear", "hare", "mouse", "duck", "goat")
    by_skill["stories"] = [prompt(f"Tell me a story about a {animal}.") for animal in animals]
    return [rng.choice(rng.choice(list(by_skill.values()))) for _ in range(STOP_PROMPTS)]


class Card(NamedTuple):
    """All that is measured of one model by asking it."""

    graded: list[Graded]
    stories: dict[str, list[Told]]
    ended: int
    stop_prompts: int

    def shares(self) -> dict[str, tuple[int, int]]:
        """Returns for each skill how many answers are right, and of how many."""
        results: dict[str, list[bool]] = {}
        for one in self.graded:
            results.setdefault(one.question.skill, []).append(one.right)
        for skill, told in self.stories.items():
            results[skill] = [not one.faults for one in told]
        results["ends by itself"] = [n < self.ended for n in range(self.stop_prompts)]
        return {skill: (sum(right), len(right)) for skill, right in results.items()}


def measure(engine: Engine) -> Card:
    """Asks a model everything."""
    graded = grade(engine, questions())
    prompts = stop_prompts()
    ended = sum(answer.ended for answer in engine.complete(prompts, TEMPERATURE, SEED))
    return Card(graded, judge_stories(engine), ended, len(prompts))


def skill_table(card: Card, other: Card | None = None) -> list[str]:
    """Returns a table of the share of right answers by skill, perhaps beside another model's."""
    compared = other.shares() if other else {}
    more = (" other model |", "---:|") if other else ("", "")
    lines = [f"| skill | right | asked | share |{more[0]}", f"|---|---:|---:|---:|{more[1]}"]
    for skill, (right, asked) in card.shares().items():
        line = f"| {skill} | {right} | {asked} | {right / asked:.1%} |"
        if skill in compared:
            line += f" {compared[skill][0] / compared[skill][1]:.1%} |"
        lines.append(line)
    return lines


def loss_table(run: Path) -> list[str]:
    """Returns a table of the loss on fresh documents, by kind."""
    lines = ["| kind of text | loss, nats a token |", "|---|---:|"]
    lines += [f"| {kind} | {loss:.3f} |" for kind, loss in held_out_losses(run).items()]
    return lines


def quote(text: str) -> str:
    """Returns a text as a Markdown code block, so that every blank and break can be seen."""
    return "\n".join(f"    {line}" for line in text.split("\n"))


def wrong_answers(graded: list[Graded]) -> list[str]:
    """Returns the first few wrong answers of each skill."""
    by_skill: dict[str, list[str]] = {}
    for question, answer, right in graded:
        if not right:
            talk = quote(f"{question.prompt.lstrip()}▸{answer.text}")
            by_skill.setdefault(question.skill, []).append(talk)
    lines = []
    for skill, talks in by_skill.items():
        lines += [f"### {skill}", "", "\n\n---\n\n".join(talks[:WRONG_SHOWN]), ""]
    return lines


def samples(engine: Engine) -> list[str]:
    """Returns the page of samples: each prompt, and what the model went on with after the mark."""
    lines = []
    for asked, answer in zip(SAMPLES, engine.complete(SAMPLES, TEMPERATURE, SEED), strict=True):
        ending = "" if answer.ended else " …"
        lines += [quote(f"{asked.lstrip()}▸{answer.text}{ending}"), "", "---", ""]
    return lines


def faulty_stories(card: Card) -> list[str]:
    """Returns how often each fault of stories came, and the first faulty story."""
    told = [one for stories in card.stories.values() for one in stories if one.faults]
    counts: dict[str, int] = {}
    for one in told:
        for fault in one.faults:
            kind = fault.split(":")[0].split(" '")[0]
            kind = re.sub(r"^\S+ (comes once|does not appear)$", r"a name \1", kind)
            counts[kind] = counts.get(kind, 0) + 1
    lines = [f"- {count} x {kind}" for kind, count in sorted(counts.items())]
    if told:
        first = quote(f"{told[0].asked.prompt.lstrip()}▸{told[0].answer.text}")
        lines += ["", f"The first of them ({'; '.join(told[0].faults)}):", "", first]
    return lines or ["None."]


def report(model: Path, engine: Engine, run: Path | None, other: Engine | None) -> str:
    """Returns the report card."""
    card = measure(engine)
    lines = [
        f"# Report card of {model.name}",
        "",
        f"File: {model.stat().st_size / 1e6:.2f} MB. Made by `python -m training.evaluate`.",
        f"Questions at temperature 0; stories and stopping at temperature {TEMPERATURE}, an answer",
        "that did not end within 400 tokens being cut off.",
        "",
        "## Skills",
        "",
        *skill_table(card, measure(other) if other else None),
        "",
    ]
    if run:
        lines += ["## Loss on fresh documents", "", *loss_table(run), ""]
    lines += [
        "## Faults of stories",
        "",
        *faulty_stories(card),
        "",
        "## Some wrong answers",
        "",
        *wrong_answers(card.graded),
        f"## Samples, temperature {TEMPERATURE}, top_p 0.95, top_k 40, seed {SEED}",
        "",
        "The first try of each, not picked. The model wrote what follows the ▸.",
        "",
        *samples(engine),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Grade a model and write its report card.")
    parser.add_argument("model", type=Path, help="the GGUF file")
    parser.add_argument("report", type=Path, help="the Markdown file to write")
    parser.add_argument("--run", type=Path, help="directory of its checkpoint, to measure losses")
    parser.add_argument("--compare", type=Path, metavar="GGUF", help="a model to compare with")
    parser.add_argument("--runtime", choices=RUNTIMES, default="openvino")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    load_model = RUNTIMES[options.runtime]
    other = load_model(options.compare, options.threads) if options.compare else None
    engine = load_model(options.model, options.threads)
    text = report(options.model, engine, options.run, other)
    options.report.write_text(text, encoding="utf-8")
    print("\n".join(line for line in text.splitlines() if line.startswith("|")))


if __name__ == "__main__":
    main()
