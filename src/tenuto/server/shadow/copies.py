"""Draw requests, and run their copies within all bounds."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final
from zlib import crc32

from tenuto.compare.answer import LEFT, TIMEOUT, TOO_LONG
from tenuto.compare.answering import ask, copy_of
from tenuto.compare.comparison import Purpose
from tenuto.compare.reply import Reply
from tenuto.compare.writer import ComparisonWriter, spent_today
from tenuto.core.job import Accepted, Request
from tenuto.core.prompt import TokenPrompt
from tenuto.engine.base import Engine
from tenuto.server.accounts import terms_of
from tenuto.server.shadow.budget import DayBudget
from tenuto.server.shadow.copy import Copy, Terms
from tenuto.server.shadow.targets import Targets
from tenuto.settings import Settings
from tenuto.stream.meter import Meter

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


class _FirstReply(Reply):
    """The answer that the caller gets, while it is passed on."""

    __slots__ = ("_answered", "_copies")

    def __init__(
        self,
        meter: Meter,
        accepted: Accepted,
        copies: Sequence[Copy],
        answered: Callable[[Reply, Sequence[Copy]], None],
    ) -> None:
        super().__init__(meter, accepted)
        self._copies: Sequence[Copy] | None = copies
        self._answered = answered

    def done(self) -> None:
        copies = self._copies
        # Each refers to the other.
        self._copies = self.meter.transcript = None
        if copies:
            self._answered(self, copies)


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
        self._compared = self._targets.compared
        self._most = shadow.max_concurrent
        spent = max(spent, spent_today(shadow.file))
        self._budget = DayBudget(shadow.max_tokens_a_day, spent)
        prices = terms_of(settings).prices
        cost_of = prices.money if prices else None
        self._terms = Terms(shadow.to or "", cost_of, shadow.keep_texts, self._ended)
        self._counts = counts
        # In the order of their beginning. One timer for the oldest costs less than one for each.
        self._running: dict[Copy, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: deque[Copy] = deque()
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
            meter.transcript = _FirstReply(meter, accepted, copies, self._answered)

    @property
    def spent(self) -> int:
        """Tokens of copies that have ended, on this day."""
        return self._budget.spent

    def _made(
        self, request_id: str, purpose: Purpose, requests: Sequence[Request], accepted: Accepted
    ) -> Copy | None:
        """Begin a copy, or let it wait. Return None if it is left out."""
        request = requests[0]
        job = request.job
        prompt, max_tokens = job.prompt, job.max_tokens
        engine: Engine | None = self._compared
        if purpose is Purpose.NOISE:
            engine = self._targets.noise(job.model, accepted)
        size = prompt.size
        if (
            engine is None
            or len(requests) > 1
            or size > MOST_PROMPT_BYTES
            or not max_tokens
            or isinstance(prompt, TokenPrompt)
        ):
            outcome = "left_out_unfit"
        elif self._last_failed and not engine.health().ready:
            outcome = "left_out_paused"
        elif (len(self._running) >= self._most <= len(self._waiting)) or self._closing:
            outcome = "left_out_full"
        else:
            reserved = size // _BYTES_OF_A_TOKEN + _TOKENS_OF_A_TEMPLATE + max_tokens
            if self._budget.reserve(reserved):
                copy = Copy(*(request_id, purpose, request, size, engine, reserved, self._terms))
                if job.stream:
                    self._admit(copy)
                return copy
            outcome = "left_out_budget"
        self._counts[outcome] += 1
        return None

    def _admit(self, copy: Copy) -> None:
        """Start a copy, or let it wait. It is left out if too many came since it was drawn."""
        if self._closing:
            outcome = "abandoned"
        elif len(self._running) < self._most:
            self._start(copy)
            return
        elif len(self._waiting) < self._most:
            self._waiting.append(copy)
            return
        else:
            outcome = "left_out_full"
        self._counts[outcome] += 1
        self._budget.settle(copy.reserved, 0)

    def _start(self, copy: Copy) -> None:
        request = copy.request
        self._running[copy] = None
        call = ask(copy.engine, copy_of(request.job), request.stops, copy)
        copy.task = asyncio.create_task(call)
        if self._timer is None:
            self._look_after(self._shadow.timeout_s)

    def _look_after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end_late_ones)

    def _end_late_ones(self) -> None:
        """Cancel copies that take too long, and look again when the next one would."""
        self._timer, timeout_s, now = None, self._shadow.timeout_s, perf_counter()
        for copy in self._running:
            if copy.task is None or copy.error:
                continue
            began = copy.meter.began
            left_s = timeout_s if began is None else began + timeout_s - now
            if left_s > 0:
                self._look_after(left_s)
                return
            copy.error = TIMEOUT
            copy.task.cancel()

    def _ended(self, copy: Copy) -> None:
        """Settle a copy that has ended, and take note of its answer unless it was abandoned."""
        try:
            self._end(copy)
            if copy.has_answer and copy.first is not None:
                self._compare(copy, copy.first)
        except Exception as error:
            _log.error("a copy of a request failed", exc_info=error)

    def _end(self, copy: Copy) -> None:
        """Settle a copy that has run, or was abandoned. Start the next one."""
        del self._running[copy]
        # Refers to its coroutine, and so to this.
        copy.task = None
        used = None
        if copy.error:
            # It may be charged as a whole.
            outcome, self._last_failed = "failed", True
        elif copy.ended is None:
            outcome = "abandoned"
        else:
            outcome, self._last_failed, used = "answered", False, copy.tokens
        copy.has_answer = outcome != "abandoned"
        self._counts[outcome] += 1
        self._budget.settle(copy.reserved, used)
        if self._waiting and not self._closing:
            self._start(self._waiting.popleft())

    def _answered(self, reply: Reply, copies: Sequence[Copy]) -> None:
        """Take the answer that the caller has got, and begin the copies of a plain one."""
        try:
            if reply.too_long:
                reply.error = TOO_LONG
            elif reply.ended is None:
                outcome = reply.meter.outcome
                reply.error = LEFT if outcome is None else outcome.value
            reply.ended_at = perf_counter()
            for copy in copies:
                copy.first = reply
                if not copy.request.job.stream:
                    self._admit(copy)
                elif copy.has_answer:
                    self._compare(copy, reply)
        except Exception as error:
            _log.error("an answer could not be compared", exc_info=error)

    def _compare(self, copy: Copy, first: Reply) -> None:
        """Hand over the answer that the caller has got, and that of its copy."""
        copy.spent = self._budget.spent
        self.writer.add(copy.size + first.chars + copy.chars, copy.pair)

    async def aclose(self) -> None:
        """Abandon the copies, write what is compared, and close the connections."""
        self._closing = True
        while self._waiting:
            copy = self._waiting.popleft()
            self._budget.settle(copy.reserved, 0)
            self._counts["abandoned"] += 1
        if self._timer is not None:
            self._timer.cancel()
        running = list(self._running)
        tasks = [copy.task for copy in running if copy.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for copy in running:
            if copy in self._running:
                # Its task was cancelled before its first step, which runs nothing of it.
                self._end(copy)
        await asyncio.to_thread(self.writer.stop)
        await self._targets.aclose()
