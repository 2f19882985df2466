"""An engine that answers from a cassette."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from tenuto.cassette.exchange import UPSTREAM, Exchange, InvalidLine
from tenuto.cassette.file import Place
from tenuto.cassette.index import Index
from tenuto.cassette.miss import miss_message
from tenuto.cassette.request import request_of
from tenuto.core.job import EXTENSIONS, Job, Piece
from tenuto.core.refusal import Kind, Refusal, cannot_count, failed
from tenuto.engine.base import Capabilities, CountsTokens, Engine, Health

# Prompts of fewer bytes are scrubbed and hashed at once, others in a thread.
_SMALL_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class Counts:
    """The counts of a replay.

    Attributes:
        running: Completions in progress.
        replayed: Completions that were replayed to their end.
        missed: Requests without a recording.
    """

    running: int = 0
    replayed: int = 0
    missed: int = 0


class ReplayEngine:
    """Replay recordings: those of equal requests in the order of their start, each once.

    A recording that its caller leaves before the end, or whose answer is spoiled on its way, stays
    the next one of its request.

    A request without a recording is a miss, a 400 that a client must not retry. No other engine
    answers it, unless `inner` is given.

    Args:
        index: The recordings.
        speed: 1 replays with the recorded times, 2 in half of them, 0 at once.
        inner: Answers misses, and may record them. It is started and closed with this engine.

    Attributes:
        counts: The counts of this engine and its successors.
    """

    def __init__(self, index: Index, speed: float = 0.0, inner: Engine | None = None) -> None:
        self._index = index
        self._speed = speed
        self._inner = inner
        self._closed = asyncio.Event()
        self._searching = asyncio.Lock()
        self.counts = Counts()

    @property
    def inner(self) -> Engine | None:
        """The engine that answers misses."""
        return self._inner

    def around(self, engine: Engine) -> ReplayEngine:
        """Return an engine with the same recordings, and another engine for misses."""
        other = copy(self)
        other._inner = engine
        return other

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`. All fields are accepted, because they are part of the key."""
        models = self._index.models
        if self._inner is not None:
            models = tuple(dict.fromkeys((*models, *self._inner.capabilities.names())))
        return Capabilities(models=models, extensions=EXTENSIONS, token_prompts=True)

    def health(self) -> Health:
        """Ready at once, and with the counts of recordings in words."""
        index, counts = self._index, self.counts
        detail = (
            f"Replays {index.path.name}: recordings {index.total}, replayed {counts.replayed}, "
            f"misses {counts.missed}."
        )
        ready = not self._closed.is_set()
        if self._inner is not None:
            inner = self._inner.health()
            return Health(inner.ready and ready, detail, self.counts.running + inner.running)
        return Health(ready, detail, running=self.counts.running)

    async def start(self) -> None:
        """Start the engine for misses, if there is one."""
        if self._inner is not None:
            await self._inner.start()

    async def ready(self) -> str:
        """Return the source of the answers."""
        if self._inner is not None:
            await self._inner.ready()
        return f"the recordings of {self._index.path.name} ({UPSTREAM})"

    async def count_tokens(self, job: Job) -> int:
        """See `CountsTokens`: a recorded count, or that of a completion of the same prompt."""
        request = await self._request(job, counts=True)
        tokens = self._index.tokens(request)
        if tokens is not None:
            return tokens
        if (place := self._index.take(request)) is not None:
            raise (await self._read(place)).refusal() or cannot_count()
        if isinstance(self._inner, CountsTokens):
            self.counts.missed += 1
            return await self._inner.count_tokens(job)
        raise await self._miss(request)

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        if self._closed.is_set():
            raise _closed()
        start = perf_counter()
        request = await self._request(job)
        place = self._index.take(request)
        if place is None:
            if self._inner is None:
                raise await self._miss(request)
            self.counts.missed += 1
            self._inner.capabilities.check(job.sampling)
            self._inner.capabilities.check_prompt(job.prompt)
            async with aclosing(self._inner.generate(job)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        self.counts.running += 1
        left, is_replayed, is_back = 1, False, False

        def give_back() -> None:
            nonlocal is_back
            if not is_back:
                is_back = True
                self.counts.replayed -= is_replayed
                self._index.give_back(request, place)

        if job.spoiling is not None:
            job.spoiling.on_spoiled(give_back)
        try:
            exchange = await self._read(place)
            left = len(exchange.pieces)
            for ms, piece in exchange.replayed():
                await self._pause(start + self._scaled(ms))
                left -= 1
                yield piece
            left = 0
            if (refusal := exchange.refusal()) is not None:
                raise refusal
        finally:
            self.counts.running -= 1
            if left > 0:
                # Its caller left, and may send the request again.
                give_back()
            elif not is_back:
                is_replayed = True
                self.counts.replayed += 1

    async def aclose(self) -> None:
        """Running jobs raise at once."""
        self._closed.set()
        if self._inner is not None:
            await self._inner.aclose()

    async def _request(self, job: Job, *, counts: bool = False) -> dict[str, object]:
        """Return the scrubbed request of a job."""

        def make() -> dict[str, object]:
            request = request_of(job, counts=counts)
            scrubbed: dict[str, object] = self._index.scrubber.value(request, job.caller.key)
            return scrubbed

        return make() if job.prompt.size < _SMALL_BYTES else await asyncio.to_thread(make)

    async def _read(self, place: Place) -> Exchange:
        """Return the recording at a place.

        Raises:
            Refusal: The file has changed.
        """
        read = self._index.reader.at
        try:
            is_small = place.length < _SMALL_BYTES
            return read(place) if is_small else await asyncio.to_thread(read, place)
        except InvalidLine:
            raise failed(f"{self._index.path.name} has changed: restart the server") from None

    async def _miss(self, request: dict[str, object]) -> Refusal:
        self.counts.missed += 1
        async with self._searching:
            message = await asyncio.to_thread(miss_message, self._index, request)
        return Refusal(Kind.INVALID, message, retryable=False)

    def _scaled(self, ms: float) -> float:
        return ms / 1000 / self._speed if self._speed else 0.0

    async def _pause(self, until: float) -> None:
        """Wait until a time of the clock, at least for other tasks; or for the end.

        Raises:
            Refusal: The engine was closed.
        """
        left = until - perf_counter()
        if left <= 0 or not self._speed:
            await asyncio.sleep(0)
        else:
            try:
                await asyncio.wait_for(self._closed.wait(), left)
            except TimeoutError:
                return
        if self._closed.is_set():
            raise _closed()


def _closed() -> Refusal:
    return failed("The engine is closed.")
