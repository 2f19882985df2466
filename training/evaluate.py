"""Asks a GGUF file the graded questions and writes a report card in Markdown.

    python -m training.evaluate MODEL.gguf REPORT.md

In: the file, and the questions of training.corpus.questions. Out: how many answers are right for
each skill (temperature 0), how often the model ends by itself (temperature 0.7), and a page of
answers as they came, each the first and only try.
"""

import argparse
import random
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from training.corpus.questions import Question, prompt, questions
from training.engine import Answer, Engine

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


def stop_prompts() -> list[str]:
    """Returns prompts of all skills alike, and requests for stories, which are the longest."""
    rng = random.Random(SEED)
    by_skill: dict[str, list[str]] = {}
    for question in questions():
        by_skill.setdefault(question.skill, []).append(question.prompt)
    animals = ("cat", "dog", "fox", "bear", "hare", "mouse", "duck", "goat")
    by_skill["stories"] = [prompt(f"Tell me a story about a {animal}.") for animal in animals]
    return [rng.choice(rng.choice(list(by_skill.values()))) for _ in range(STOP_PROMPTS)]


def skill_table(graded: list[Graded]) -> list[str]:
    """Returns a table of the share of right answers by skill, the skills in the order asked."""
    lines = ["| skill | right | asked | share |", "|---|---:|---:|---:|"]
    by_skill: dict[str, list[bool]] = {}
    for one in graded:
        by_skill.setdefault(one.question.skill, []).append(one.right)
    for skill, results in [*by_skill.items(), ("**all**", [one.right for one in graded])]:
        share = sum(results) / len(results)
        lines.append(f"| {skill} | {sum(results)} | {len(results)} | {share:.0%} |")
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


def report(model: Path, engine: Engine) -> str:
    """Returns the report card."""
    graded = grade(engine, questions())
    prompts = stop_prompts()
    ended = sum(answer.ended for answer in engine.complete(prompts, TEMPERATURE, SEED))
    lines = [
        f"# Report card of {model.name}",
        "",
        f"File: {model.stat().st_size / 1e6:.2f} MB. Made by `python -m training.evaluate`.",
        "",
        "## Graded questions, temperature 0",
        "",
        *skill_table(graded),
        "",
        f"## Ends by itself, temperature {TEMPERATURE}",
        "",
        f"{ended} of {len(prompts)} answers ({ended / len(prompts):.1%}) ended with the stop",
        "sequence or the end token; the others were cut off at 400 tokens.",
        "",
        "## Some wrong answers",
        "",
        *wrong_answers(graded),
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
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    text = report(options.model, Engine(options.model, options.threads))
    options.report.write_text(text, encoding="utf-8")
    print("\n".join(line for line in text.splitlines() if line.startswith("|")))


if __name__ == "__main__":
    main()
