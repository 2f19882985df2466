"""Measurements of a server. Each function returns figures by their names in the table."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, TypeAlias

from benchmarks.engine.streams import (
    Answer,
    Prompts,
    Server,
    decode_rate,
    median_first_s,
    rate,
    seconds,
)

PREFILL_TOKENS: Final = 512
STREAMS: Final = (1, 8, 32)
SHARED_TOKENS: Final = 1000
SHARED_REQUESTS: Final = 32
QUESTION_TOKENS: Final = 40
SHORT_TOKENS: Final = 16
TALKS: Final = 8
TURNS: Final = 4
TALK_TOKENS: Final = 64
ANSWER_TOKENS: Final = 32
COPIED_TOKENS: Final = 128
UNLIKE: Final = 16

Figures: TypeAlias = dict[str, float]
Scenario: TypeAlias = Callable[[Server, Prompts], Coroutine[None, None, Figures]]

PREFILL: Final = f"prefill, {PREFILL_TOKENS} tokens: tokens/s"
SHARED: Final = f"{SHARED_REQUESTS} requests, one new prefix: all done, s"
COPY: Final = "copying task, 1 stream: tokens/s"
NO_COPY: Final = "copying task, 1 stream, but nothing to copy: tokens/s"


@dataclass(frozen=True, slots=True)
class Amounts:
    """Sizes of the measurements.

    Attributes:
        prefills: Number of prompts one after another.
        prompt: Tokens of the prompt of each stream.
        completion: Tokens of the completion of each stream.
    """

    prefills: int = 3
    prompt: int = 64
    completion: int = 64


SHORT: Final = Amounts(prefills=2, prompt=32, completion=32)


def streams_rate(streams: int) -> str:
    """Return the name of the rate of a number of streams, their prompts' time included."""
    return f"{_streams(streams)}: tokens/s"


def streams_first(streams: int) -> str:
    """Return the name of the time to first token of a number of streams."""
    return f"{_streams(streams)}: time to first token, s"


def prefill(amounts: Amounts) -> Scenario:
    """Return the measurement of prompts one after another, each up to its first token."""

    async def measure(server: Server, prompts: Prompts) -> Figures:
        answers = []
        for _ in range(amounts.prefills):
            answers += await server.ask_all([prompts.distinct(PREFILL_TOKENS)], 1)
        rates = [PREFILL_TOKENS / answer.first_s for answer in answers]
        return {PREFILL: statistics.median(rates)}

    return measure


def burst(streams: int, amounts: Amounts) -> Scenario:
    """Return the measurement of a number of concurrent requests."""

    async def measure(server: Server, prompts: Prompts) -> Figures:
        texts = [prompts.distinct(amounts.prompt) for _ in range(streams)]
        answers = await server.ask_all(texts, amounts.completion)
        found = {
            streams_rate(streams): rate(answers),
            f"{_streams(streams)}, decode alone: tokens/s": decode_rate(answers),
        }
        if streams > 1:
            found[streams_first(streams)] = median_first_s(answers)
        return found

    return measure


async def shared_prefix(server: Server, prompts: Prompts) -> Figures:
    """Measure concurrent requests with a common prefix that is new to the server."""
    prefix = prompts.text(SHARED_TOKENS)
    texts = [prompts.turn(QUESTION_TOKENS, prefix) for _ in range(SHARED_REQUESTS)]
    answers = await server.ask_all(texts, SHORT_TOKENS)
    return {
        SHARED: seconds(answers),
        SHARED.replace("all done", "time to first token"): median_first_s(answers),
    }


async def conversations(server: Server, prompts: Prompts) -> Figures:
    """Measure concurrent conversations, each continued with its answers."""

    async def talk() -> list[Answer]:
        answers: list[Answer] = []
        text = ""
        for _ in range(TURNS):
            text = prompts.turn(TALK_TOKENS, text)
            answers.append(await server.ask(client, text, ANSWER_TOKENS))
            text += answers[-1].text
        return answers

    async with server.client() as client:
        talks = await asyncio.gather(*(talk() for _ in range(TALKS)))
    everything = [answer for answers in talks for answer in answers]
    later = [answer for answers in talks for answer in answers[1:]]
    name = f"{TALKS} conversations of {TURNS} turns"
    return {
        f"{name}: all done, s": seconds(everything),
        f"{name}: time to first token after the first turn, s": median_first_s(later),
    }


async def copying(server: Server, prompts: Prompts) -> Figures:
    """Measure a completion that repeats the prompt but for each 16th word, and one that does not.

    Both prompts have one length, and both completions are the same text. So the second is the
    speed of the first without prompt lookup.
    """
    texts = {
        COPY: prompts.copied(COPIED_TOKENS, UNLIKE),
        NO_COPY: prompts.text(COPIED_TOKENS),
    }
    found = {}
    for name, text in texts.items():
        answers = await server.ask_all([prompts.framed(text)], COPIED_TOKENS)
        found[name] = rate(answers)
        found[name.replace(": ", ", decode alone: ")] = decode_rate(answers)
    return found


def _streams(number: int) -> str:
    return f"{number} stream{'s' if number > 1 else ''}"
