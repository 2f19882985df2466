"""Measure an engine of this process: its load, prompts, and streams at once, within a deadline."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from tenuto.bench.candidates import PREFILL, Candidate, Measured, shape_text
from tenuto.bench.prompts import PromptSet, Sizes, conversation
from tenuto.core.job import Job, Piece, Sampling
from tenuto.core.refusal import Refusal
from tenuto.engine.base import Engine
from tenuto.prompt.turns import raw_prompt

# Tokens of the prompt whose prefill is measured, words of the first one, and of those of streams.
_PROMPT_TOKENS: Final = 512
_FIRST_WORDS: Final = 32
_STREAM_WORDS: Final = 8
_STREAM_TOKENS: Final = 256
_MOST_PROMPTS: Final = 3
# Seconds of the measurement of streams, while all of them write.
_WINDOW_S: Final = 2.0
# Share of a shape's time for this window; the rest is for prompts.
_WINDOW_SHARE: Final = 0.5

_GREEDY: Final = Sampling(temperature=0.0)


async def measure(
    candidate: Candidate,
    open_engine: Callable[[], Engine],
    shapes: Sequence[int],
    seconds: float,
    on_progress: Callable[[float], object] = lambda _: None,
) -> Measured:
    """Measure a candidate for this time at most, and stop its engine.

    Args:
        candidate: For the result.
        open_engine: Returns the engine, which is not started.
        shapes: What to measure, in this order.
        seconds: The time limit. The clock is the event loop's.
        on_progress: Called with the share that is done, 0 to 1.
    """
    measured = Measured(candidate)
    clock = asyncio.get_running_loop().time
    started = clock()
    engine: Engine | None = None
    doing = "the model did not load"
    try:
        engine = open_engine()
        async with asyncio.timeout_at(started + seconds):
            await engine.start()
            await engine.ready()
            measured.load_s = clock() - started
            doing = "the first prompt was not answered"
            load = _EngineLoad(engine, clock)
            await load.warm_up()
            for number, shape in enumerate(shapes):
                doing = f"{shape_text(shape)} did not end"
                on_progress((number + 1) / (len(shapes) + 1))
                share_s = (started + seconds - clock()) / (len(shapes) - number)
                measured.rates[shape] = await load.rate(shape, share_s)
    except TimeoutError:
        measured.failure = f"{doing} within {seconds:.0f} s"
    except (Refusal, ExceptionGroup) as error:
        measured.failure = " ".join(_refusal(error).message.split())
    finally:
        if engine is not None:
            await engine.aclose()
    return measured


@dataclass(slots=True)
class _Streams:
    """Tokens of several streams so far, and the time of the last ones."""

    count: int
    tokens: int = 0
    last: float = 0.0
    all_writing: asyncio.Event = field(default_factory=asyncio.Event)
    _writing: set[int] = field(default_factory=set)

    def add(self, number: int, tokens: int, now: float) -> None:
        self.tokens += tokens
        self.last = now
        self._writing.add(number)
        if len(self._writing) == self.count:
            self.all_writing.set()


class _EngineLoad:
    """Send jobs to a started engine. Prompts differ from the first word on."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._numbers = itertools.count()
        self._tokens_per_word = 1.0
        # Tokens of a prompt per second, a first estimate.
        self._speed = 1.0

    async def warm_up(self) -> None:
        """Send a short prompt, to learn how fast the engine is."""
        # Libraries prepare more at the first prompt than at the second.
        await self._prefill(_FIRST_WORDS)
        tokens, seconds = await self._prefill(_FIRST_WORDS)
        self._tokens_per_word = tokens / _FIRST_WORDS
        self._speed = tokens / seconds

    async def rate(self, shape: int, share_s: float) -> float:
        """Return the tokens per second of a shape, measured for about this time or less."""
        if shape == PREFILL:
            return await self._prefill_rate(share_s)
        return await self._streams_rate(shape, min(_WINDOW_S, share_s * _WINDOW_SHARE))

    async def _prefill_rate(self, share_s: float) -> float:
        context = self._engine.capabilities.context or _PROMPT_TOKENS
        most = min(_PROMPT_TOKENS, context // 2, self._speed * share_s / 2)
        words = max(1, int(most / self._tokens_per_word))
        until = self._clock() + share_s / 2
        tokens, seconds = 0, 0.0
        for _ in range(_MOST_PROMPTS):
            more, took = await self._prefill(words)
            tokens, seconds = tokens + more, seconds + took
            if self._clock() + took > until:
                break
        return tokens / seconds

    async def _prefill(self, words: int) -> tuple[int, float]:
        """Return the tokens of a prompt, and the seconds up to its first new token."""
        started, tokens = self._clock(), 0
        async with aclosing(self._generate(words, 1)) as pieces:
            async for piece in pieces:
                if piece.usage is not None and piece.usage.input_tokens is not None:
                    tokens = piece.usage.input_tokens
        # An engine that does not count tokens is measured in words.
        return tokens or words, max(self._clock() - started, 1e-6)

    async def _streams_rate(self, count: int, window_s: float) -> float:
        streams = _Streams(count)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._keep_writing(streams, number)) for number in range(count)
            ]
            await streams.all_writing.wait()
            tokens, began = streams.tokens, streams.last
            await asyncio.sleep(window_s)
            while streams.last == began:
                await asyncio.sleep(window_s)
            # From one step to another, so that no part of a step is counted.
            rate = (streams.tokens - tokens) / (streams.last - began)
            for task in tasks:
                task.cancel()
        return rate

    async def _keep_writing(self, streams: _Streams, number: int) -> None:
        while True:
            async with aclosing(self._generate(_STREAM_WORDS, _STREAM_TOKENS)) as pieces:
                async for piece in pieces:
                    if piece.tokens:
                        streams.add(number, piece.tokens, self._clock())

    def _generate(self, words: int, max_tokens: int) -> AsyncGenerator[Piece, None]:
        talk = conversation(PromptSet.DISTINCT, Sizes(words, 1, 1), 1, next(self._numbers))
        return self._engine.generate(Job(raw_prompt(talk.questions[0]), max_tokens, _GREEDY))


def _refusal(error: Exception) -> Refusal:
    """Return the refusal in a group of streams' errors; any other error is a bug."""
    first = error
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, Refusal):
        return first
    raise error
