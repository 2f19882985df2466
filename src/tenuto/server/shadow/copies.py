"""Draw requests, and run their copies within all bounds."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from time import time
from typing import Final
from zlib import crc32

from tenuto.compare.answer import LEFT, MOST_CHARS, TOO_LONG, Answer
from tenuto.compare.answering import CostOf, answer_of, copy_of, measured
from tenuto.compare.comparison import Pair, Purpose
from tenuto.compare.writer import ComparisonWriter, spent_today
from tenuto.core.job import Accepted, Request
from tenuto.core.prompt import TokenPrompt
from tenuto.engine.base import Engine
from tenuto.server.accounts import terms_of
from tenuto.server.shadow.budget import DayBudget
from tenuto.server.shadow.targets import Targets
from tenuto.settings import Settings
from tenuto.stream.meter import Meter
from tenuto.stream.transcript import Transcript

_log: Final = logging.getLogger("tenuto.shadow")

MOST_PROMPT_BYTES: Final = 1024 * 1024
"""Longest prompt that is copied, so that waiting copies need little memory."""

OUTCOMES: Final = (
    *("answered", "failed", "abandoned"),
    *("left_out_full", "left_out_budget", "left_out_paused", "left_out_unfit"),
)
"""Outcomes of copies. Left out: too many at the same time, the budget of the day is spent, the
upstream is paused by its breaker, the request cannot be copied."""

# As for the reservation of a request: more than one token for 3 bytes is rare.
_BYTES_OF_A_TOKEN: Final = 3
_TOKENS_OF_A_TEMPLATE: Final = 16
_MODEL_CHARS: Final = 256
_NO_ANSWER: Final = Answer()


class _Copy:
    """A request that is sent a second time.

    Attributes:
        pair: Its two answers, as soon as they are there.
        missing: How many of them are not.
        request: The request.
        engine: The engine of the copy.
        reserved: Tokens that it may use.
        task: Runs it; None while it waits for others, or for the end of a plain answer.
    """

    __slots__ = ("engine", "missing", "pair", "request", "reserved", "task")

    def __init__(self, pair: Pair, request: Request, engine: Engine, reserved: int) -> None:
        self.pair = pair
        self.missing = 2
        self.request = request
        self.engine = engine
        self.reserved = reserved
        self.task: asyncio.Task[None] | None = None


class Copies:
    """The copies of one reading of the settings.

    Args:
        settings: With `[engine.shadow] to`.
        counts: Counts copies by `OUTCOMES`.
        spent: Tokens of copies on this day, if more than the file reports.

    Attributes:
        settings: The settings.
        writer: Writes the comparisons.

    Raises:
        ModelError: The environment names a proxy that cannot be used for an upstream.
    """

    def __init__(self, settings: Settings, counts: Counter[str], spent: int = 0) -> None:
        shadow = settings.engine.shadow
        assert shadow.file is not None
        self.settings: Settings = settings
        self.writer: ComparisonWriter = ComparisonWriter(shadow.file, shadow.max_file_mib << 20)
        self._shadow = shadow
        self._draws = [
            # Another start of the checksum for each, so that the draws are independent.
            (purpose, start, share * 2**32)
            for start, (purpose, share) in enumerate(
                ((Purpose.SHADOW, shadow.share), (Purpose.NOISE, shadow.noise_share))
            )
            if share
        ]
        self._targets = Targets(settings.engine)
        spent = max(spent, spent_today(shadow.file))
        self._budget = DayBudget(shadow.max_tokens_a_day, spent)
        prices = terms_of(settings).prices
        self._cost: CostOf | None = prices.money if prices else None
        self._counts = counts
        self._running: set[_Copy] = set()
        self._waiting: deque[_Copy] = deque()
        self._closing = False
        # A breaker opens after failures only; to look at it takes as long as the rest of a draw.
        self._last_failed = False

    def beside(
        self, request_id: str, requests: Sequence[Request], accepted: Accepted, meter: Meter
    ) -> None:
        """Begin the copies of an accepted request, if it is drawn.

        Its answer goes on as it would without them; its meter gets a transcript. The copies of a
        stream run beside it, those of a plain answer after it: they would delay its only bytes.

        Args:
            request_id: By which it is drawn, always the same way.
            requests: The request, or all of one exchange, which are not copied.
            accepted: How the completion of the request began.
            meter: Its meter.
        """
        name = request_id.encode()
        copies = []
        try:
            for purpose, start, most in self._draws:
                if crc32(name, start) < most:
                    copy = self._made(request_id, purpose, requests, accepted)
                    if copy is not None:
                        copies.append(copy)
        except Exception as error:
            # Whatever it is: the caller's answer has begun.
            _log.error("a request could not be copied", exc_info=error)
        if copies:

            def done(transcript: Transcript) -> None:
                self._answered(copies, transcript, meter, accepted)

            meter.transcript = Transcript(MOST_CHARS, done)

    @property
    def spent(self) -> int:
        """Tokens of copies that have ended, on this day."""
        return self._budget.spent

    def _made(
        self, request_id: str, purpose: Purpose, requests: Sequence[Request], accepted: Accepted
    ) -> _Copy | None:
        """Begin a copy, or let it wait. Return None if it is left out."""
        request = requests[0]
        job, most, outcome, reserved = request.job, self._shadow.max_concurrent, "", 0
        engine: Engine | None = self._targets.compared
        if purpose is Purpose.NOISE:
            engine = self._targets.noise(job.model, accepted)
        size = job.prompt.size
        if (
            engine is None
            or len(requests) > 1
            or size > MOST_PROMPT_BYTES
            or not job.max_tokens
            or isinstance(job.prompt, TokenPrompt)
        ):
            outcome = "left_out_unfit"
        elif self._last_failed and not engine.health().ready:
            outcome = "left_out_paused"
        elif (len(self._running) >= most and len(self._waiting) >= most) or self._closing:
            outcome = "left_out_full"
        else:
            reserved = size // _BYTES_OF_A_TOKEN + _TOKENS_OF_A_TEMPLATE + job.max_tokens
            if self._budget.reserve(reserved):
                requested, to = job.model[:_MODEL_CHARS], self._shadow.to or ""
                pair = Pair(request_id, time(), purpose, requested, _NO_ANSWER, _NO_ANSWER, to)
                copy = _Copy(pair, request, engine, reserved)
                if job.stream:
                    self._admit(copy)
                return copy
            outcome = "left_out_budget"
        self._counts[outcome] += 1
        return None

    def _admit(self, copy: _Copy) -> None:
        """Start a copy, or let it wait. It is left out if too many came since it was drawn."""
        most = self._shadow.max_concurrent
        if self._closing:
            outcome = "abandoned"
        elif len(self._running) < most:
            self._start(copy)
            return
        elif len(self._waiting) < most:
            self._waiting.append(copy)
            return
        else:
            outcome = "left_out_full"
        self._counts[outcome] += 1
        self._budget.settle(copy.reserved, 0)

    def _start(self, copy: _Copy) -> None:
        self._running.add(copy)
        copy.task = asyncio.create_task(self._run(copy))

    async def _run(self, copy: _Copy) -> None:
        answer: Answer | None = None
        try:
            request = copy.request
            answer = copy.pair.b = await answer_of(
                copy.engine,
                copy_of(request.job),
                request.stops,
                self._shadow.timeout_s,
                self._cost,
            )
            self._end(copy, answer)
            self._compare(copy)
        except Exception as error:
            _log.error("a copy of a request failed", exc_info=error)
        finally:
            if copy in self._running:
                self._end(copy, answer)

    def _end(self, copy: _Copy, answer: Answer | None) -> None:
        """Settle a copy that has run; without an answer it was abandoned. Start the next one."""
        self._running.discard(copy)
        if answer is None:
            self._counts["abandoned"] += 1
        else:
            self._last_failed = bool(answer.error)
            self._counts["failed" if answer.error else "answered"] += 1
        # An answer that breaks off may be charged as a whole.
        self._budget.settle(copy.reserved, answer.tokens if answer and answer.end else None)
        if self._waiting and not self._closing:
            self._start(self._waiting.popleft())

    def _answered(
        self, copies: Sequence[_Copy], transcript: Transcript, meter: Meter, accepted: Accepted
    ) -> None:
        """Take the answer that the caller has got, and begin the copies of a plain one."""
        try:
            try:
                self._take(copies, transcript, meter, accepted)
            finally:
                if not copies[0].request.job.stream:
                    for copy in copies:
                        self._admit(copy)
        except Exception as error:
            _log.error("an answer could not be compared", exc_info=error)

    def _take(
        self, copies: Sequence[_Copy], transcript: Transcript, meter: Meter, accepted: Accepted
    ) -> None:
        ended, error = transcript.ended, ""
        if transcript.too_long:
            error = TOO_LONG
        elif ended is None:
            error = LEFT if meter.outcome is None else meter.outcome.value
        model, cost_of = copies[0].request.job.model, self._cost
        answer = measured(transcript.text, ended, error, meter, accepted, model, cost_of)
        for copy in copies:
            copy.pair.a = answer
            self._compare(copy)

    def _compare(self, copy: _Copy) -> None:
        """Take note of an answer of a pair, and hand over the pair with the second one."""
        copy.missing -= 1
        if not copy.missing:
            pair, prompt = copy.pair, copy.request.job.prompt
            pair.prefill, pair.spent = prompt.prefill, self._budget.spent
            if self._shadow.keep_texts:
                pair.prompt, pair.key = str(prompt.whole()), copy.request.job.caller.key
            self.writer.add(pair)

    async def aclose(self) -> None:
        """Abandon the copies, write what is compared, and close the connections."""
        self._closing = True
        while self._waiting:
            copy = self._waiting.popleft()
            self._budget.settle(copy.reserved, 0)
            self._counts["abandoned"] += 1
        running = list(self._running)
        tasks = [copy.task for copy in running if copy.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for copy in running:
            if copy in self._running:
                # Its task was cancelled before its first step, which runs nothing of it.
                self._end(copy, None)
        await asyncio.to_thread(self.writer.stop)
        await self._targets.aclose()
