"""Grade a GGUF file with questions and write a report card in Markdown.

    python -m training.evaluate MODEL.gguf REPORT.md --run RUN --compare OTHER.gguf

Input: the file, and the questions of training.corpus.questions. Output: the share of right answers
by skill (temperature 0), the shares of stories without a fault and of answers that end before the
token limit (both at temperature 0.7), and a page of samples, each the first and only attempt. With
the run directory, also the loss by kind of text; with another file, its shares for comparison.
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

# The prompts of the page of samples: every skill, and some prompts beyond a model of this size.
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


class JudgedStory(NamedTuple):
    """A story request, the answer, and the faults of the story."""

    request: StoryRequest
    answer: Answer
    faults: list[str]


class Graded(NamedTuple):
    """A question, its answer, and the grade."""

    question: Question
    answer: Answer
    right: bool


def grade(engine: Engine, selection: Iterable[Question]) -> list[Graded]:
    """Return the questions with the model's likeliest answers and their grades."""
    selection = list(selection)
    answers = engine.complete([question.prompt for question in selection], max_tokens=60)
    return [
        Graded(question, answer, question.right(answer.text))
        for question, answer in zip(selection, answers, strict=True)
    ]


def judge_stories(engine: Engine) -> dict[str, list[JudgedStory]]:
    """Return the model's stories by skill, with their faults."""
    judged = {}
    for skill, requests in story_requests().items():
        answers = engine.complete([request.prompt for request in requests], TEMPERATURE, SEED)
        judged[skill] = [
            JudgedStory(request, answer, faults(answer.text, request.hero))
            for request, answer in zip(requests, answers, strict=True)
        ]
    return judged


def stop_prompts() -> list[str]:
    """Return prompts drawn evenly from all skills, including stories, the longest answers."""
    rng = random.Random(SEED)
    by_skill: dict[str, list[str]] = {}
    for question in questions():
        by_skill.setdefault(question.skill, []).append(question.prompt)
    animals = ("cat", "dog", "fox", "bear", "hare", "mouse", "duck", "goat")
    by_skill["stories"] = [prompt(f"Tell me a story about a {animal}.") for animal in animals]
    return [rng.choice(rng.choice(list(by_skill.values()))) for _ in range(STOP_PROMPTS)]


class Card(NamedTuple):
    """The measurements of one model that need its answers."""

    graded: list[Graded]
    stories: dict[str, list[JudgedStory]]
    ended: int
    stop_prompts: int

    def shares(self) -> dict[str, tuple[int, int]]:
        """Return for each skill the number of right answers and the number of all answers."""
        results: dict[str, list[bool]] = {}
        for graded in self.graded:
            results.setdefault(graded.question.skill, []).append(graded.right)
        for skill, stories in self.stories.items():
            results[skill] = [not story.faults for story in stories]
        results["ends by itself"] = [n < self.ended for n in range(self.stop_prompts)]
        return {skill: (sum(right), len(right)) for skill, right in results.items()}


def measure(engine: Engine) -> Card:
    """Return the measurements of a model."""
    graded = grade(engine, questions())
    prompts = stop_prompts()
    ended = sum(answer.ended for answer in engine.complete(prompts, TEMPERATURE, SEED))
    return Card(graded, judge_stories(engine), ended, len(prompts))


def skill_table(card: Card, other: Card | None = None) -> list[str]:
    """Return a table of the shares of right answers by skill, with those of another model."""
    compared = other.shares() if other else {}
    more = (" other model |", "---:|") if other else ("", "")
    lines = [f"| skill | right | answers | share |{more[0]}", f"|---|---:|---:|---:|{more[1]}"]
    for skill, (right, count) in card.shares().items():
        line = f"| {skill} | {right} | {count} | {right / count:.1%} |"
        if skill in compared:
            line += f" {compared[skill][0] / compared[skill][1]:.1%} |"
        lines.append(line)
    return lines


def loss_table(run: Path) -> list[str]:
    """Return a table of the loss on new documents, by kind."""
    lines = ["| kind of text | loss, nats a token |", "|---|---:|"]
    lines += [f"| {kind} | {loss:.3f} |" for kind, loss in held_out_losses(run).items()]
    return lines


def quote(text: str) -> str:
    """Return a text as a Markdown code block, which shows every blank and line break."""
    return "\n".join(f"    {line}" for line in text.split("\n"))


def wrong_answers(graded: list[Graded]) -> list[str]:
    """Return the first `WRONG_SHOWN` wrong answers of each skill."""
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
    """Return the page of samples: each prompt, the mark ▸ and the continuation."""
    lines = []
    for text, answer in zip(SAMPLES, engine.complete(SAMPLES, TEMPERATURE, SEED), strict=True):
        ending = "" if answer.ended else " …"
        lines += [quote(f"{text.lstrip()}▸{answer.text}{ending}"), "", "---", ""]
    return lines


def faulty_stories(card: Card) -> list[str]:
    """Return the number of each fault of stories, and the first faulty story."""
    faulty = [story for stories in card.stories.values() for story in stories if story.faults]
    counts: dict[str, int] = {}
    for story in faulty:
        for fault in story.faults:
            kind = fault.split(":")[0].split(" '")[0]
            kind = re.sub(r"^\S+ (comes once|does not appear)$", r"a name \1", kind)
            counts[kind] = counts.get(kind, 0) + 1
    lines = [f"- {count} x {kind}" for kind, count in sorted(counts.items())]
    if faulty:
        first = quote(f"{faulty[0].request.prompt.lstrip()}▸{faulty[0].answer.text}")
        lines += ["", f"The first of them ({'; '.join(faulty[0].faults)}):", "", first]
    return lines or ["None."]


def report(model: Path, engine: Engine, run: Path | None, other: Engine | None) -> str:
    """Return the report card."""
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
    """Run the command line."""
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
