"""Measurements of a server. Each function returns figures by their names in the table."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Coroutine
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
PREFILLS: Final = 3
PROMPT_TOKENS: Final = 64
COMPLETION_TOKENS: Final = 64
SHARED_TOKENS: Final = 1000
SHARED_REQUESTS: Final = 32
QUESTION_TOKENS: Final = 40
SHORT_TOKENS: Final = 16
TALKS: Final = 8
TURNS: Final = 4
ANSWER_TOKENS: Final = 32

Figures: TypeAlias = dict[str, float]
Scenario: TypeAlias = Callable[[Server, Prompts], Coroutine[None, None, Figures]]


async def prefill(server: Server, prompts: Prompts) -> Figures:
    """Prompts one after another, each up to its first token."""
    answers = []
    for _ in range(PREFILLS):
        answers += await server.ask_all([prompts.distinct(PREFILL_TOKENS)], 1)
    rates = [PREFILL_TOKENS / answer.first_s for answer in answers]
    return {f"prefill, {PREFILL_TOKENS} tokens: tokens/s": statistics.median(rates)}


def burst(streams: int) -> Scenario:
    """Measure a number of concurrent requests."""

    async def measure(server: Server, prompts: Prompts) -> Figures:
        texts = [prompts.distinct(PROMPT_TOKENS) for _ in range(streams)]
        answers = await server.ask_all(texts, COMPLETION_TOKENS)
        name = f"{streams} stream{'s' if streams > 1 else ''}"
        found = {
            f"{name}: tokens/s": rate(answers),
            f"{name}, decode alone: tokens/s": decode_rate(answers),
        }
        if streams > 1:
            found[f"{name}: time to first token, s"] = median_first_s(answers)
        return found

    return measure


async def shared_prefix(server: Server, prompts: Prompts) -> Figures:
    """Concurrent requests with a common prefix that is new to the server."""
    prefix = prompts.text(SHARED_TOKENS)
    texts = [prompts.turn(QUESTION_TOKENS, prefix) for _ in range(SHARED_REQUESTS)]
    answers = await server.ask_all(texts, SHORT_TOKENS)
    name = f"{SHARED_REQUESTS} requests, one prefix of {SHARED_TOKENS} tokens"
    return {
        f"{name}: all done, s": seconds(answers),
        f"{name}: time to first token, s": median_first_s(answers),
    }


async def multi_turn(server: Server, prompts: Prompts) -> Figures:
    """Concurrent conversations, each continued with its answers."""

    async def talk() -> list[Answer]:
        answers: list[Answer] = []
        text = ""
        for _ in range(TURNS):
            text = prompts.turn(PROMPT_TOKENS, text)
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


STREAMS: Final = (1, 8, 32)
BURSTS: Final[dict[int, Scenario]] = {streams: burst(streams) for streams in STREAMS}
