"""Draw requests, and run their copies within all bounds."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from time import perf_counter
from typing import Final
from zlib import crc32

from tenuto.compare.answer import LEFT, TIMEOUT, TOO_LONG
from tenuto.compare.answering import ask, copy_of
from tenuto.compare.comparison import Purpose
from tenuto.compare.writer import ComparisonWriter, spent_today
from tenuto.core.job import Accepted, Request
from tenuto.core.prompt import TokenPrompt
from tenuto.engine.base import Engine
from tenuto.server.accounts import terms_of
from tenuto.server.shadow.budget import DayBudget
from tenuto.server.shadow.copy import Copy, Drawn, Terms
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

GROUP_S: Final = 0.005
"""Seconds between groups of copies that begin and are settled together. The first of a group brings
code and data into the processor's caches: one by one, among requests, their calls take a fifth more
time. And a copy does not delay the last bytes of its own request's answer."""
GROUP: Final = 8
"""Copies that begin at once, in about 1 ms, for which requests wait."""


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
        # As many more wait.
        self._most_admitted = 2 * self._most
        spent = max(spent, spent_today(shadow.file))
        self._budget = DayBudget(shadow.max_tokens_a_day, spent)
        prices = terms_of(settings).prices
        cost_of = prices.money if prices else None
        self._terms = Terms(shadow.to or "", cost_of, shadow.keep_texts, self._has_ended)
        self._counts = counts
        # In the order of their beginning. One timer for the oldest costs less than one for each.
        self._running: dict[Copy, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: deque[tuple[Drawn, Purpose]] = deque()
        # What the next group takes: requests to copy, and copies that have ended.
        self._new: list[Drawn] = []
        self._ended: list[Copy] = []
        self._group: asyncio.Handle | None = None
        self._closing = False
        # A breaker opens after failures only; to look at it takes as long as the rest of a draw.
        self._last_failed = False

    def beside(
        self, request_id: str, requests: Sequence[Request], accepted: Accepted, meter: Meter
    ) -> None:
        """Begin the copies of an accepted request, if it is drawn.

        Its answer goes on as it would without them; its meter gets a transcript. The copies of a
        stream run beside it, those of a plain answer after it: they would delay its only bytes.
        They begin up to `GROUP_S` later.

        Args:
            request_id: By which it is drawn, always the same way.
            requests: The request, or all of one exchange, which are not copied.
            accepted: How the completion of the request began.
            meter: Its meter.
        """
        name = request_id.encode()
        try:
            purposes = [
                purpose for purpose, start, most in self._draws if crc32(name, start) < most
            ]
            if not purposes:
                return
            if len(requests) > 1:
                self._counts["left_out_unfit"] += len(purposes)
                return
            drawn = Drawn(request_id, requests[0], purposes, accepted, meter, self._answered)
            meter.transcript = drawn
            if drawn.request.job.stream:
                self._add(drawn)
        except Exception as error:
            # Whatever it is: the caller's answer has begun.
            _log.error("a request could not be copied", exc_info=error)

    @property
    def spent(self) -> int:
        """Tokens of copies that have ended, on this day."""
        return self._budget.spent

    def _abandon(self, copies: int) -> None:
        if copies:
            self._counts["abandoned"] += copies

    def _add(self, drawn: Drawn) -> None:
        if self._closing:
            self._abandon(len(drawn.purposes))
            return
        self._new.append(drawn)
        if self._group is None:
            self._later()

    def _later(self) -> None:
        if not self._closing:
            self._group = asyncio.get_running_loop().call_later(GROUP_S, self._next_group)

    def _next_group(self) -> None:
        """Settle the copies that have ended, and begin those that wait as far as there is room."""
        self._group = None
        self._settle()
        new, self._new = self._new, []
        for drawn in new:
            self._admit(drawn)
        waiting, running = self._waiting, self._running
        for _ in range(GROUP):
            if not waiting or len(running) >= self._most:
                return
            try:
                self._begin(*waiting.popleft())
            except Exception as error:
                _log.error("a request could not be copied", exc_info=error)
        # After the bytes of requests that have come meanwhile.
        self._group = asyncio.get_running_loop().call_soon(self._next_group)

    def _admit(self, drawn: Drawn) -> None:
        """Let the copies of a request wait. They are left out if too many do."""
        for purpose in drawn.purposes:
            if len(self._running) + len(self._waiting) < self._most_admitted:
                self._waiting.append((drawn, purpose))
            else:
                self._counts["left_out_full"] += 1

    def _begin(self, drawn: Drawn, purpose: Purpose) -> None:
        """Begin a copy, or leave it out."""
        request = drawn.request
        job = request.job
        prompt, max_tokens = job.prompt, job.max_tokens
        engine: Engine | None = self._compared
        if purpose is Purpose.NOISE:
            engine = self._targets.noise(job.model, drawn.accepted)
        size = prompt.size
        if (
            engine is None
            or size > MOST_PROMPT_BYTES
            or not max_tokens
            or isinstance(prompt, TokenPrompt)
        ):
            outcome = "left_out_unfit"
        elif self._last_failed and not engine.health().ready:
            outcome = "left_out_paused"
        else:
            reserved = size // _BYTES_OF_A_TOKEN + _TOKENS_OF_A_TEMPLATE + max_tokens
            if self._budget.reserve(reserved):
                copy = Copy(drawn, purpose, size, engine, reserved, self._terms)
                copy.task = asyncio.create_task(ask(engine, copy_of(job), request.stops, copy))
                self._running[copy] = None
                if self._timer is None:
                    self._look_after(self._shadow.timeout_s)
                return
            outcome = "left_out_budget"
        self._counts[outcome] += 1

    def _look_after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end_late_ones)

    def _end_late_ones(self) -> None:
        """Cancel copies that take too long, and look again when the next one would."""
        self._timer, timeout_s, now = None, self._shadow.timeout_s, perf_counter()
        for copy in self._running:
            if copy.task is None or copy.error or copy.ended_at:
                continue
            began = copy.meter.began
            left_s = timeout_s if began is None else began + timeout_s - now
            if left_s > 0:
                self._look_after(left_s)
                return
            copy.error = TIMEOUT
            copy.task.cancel()

    def _has_ended(self, copy: Copy) -> None:
        self._ended.append(copy)
        if self._group is None:
            self._later()

    def _settle(self) -> None:
        """Settle the copies that have ended, and compare their answers."""
        ended, self._ended = self._ended, []
        for copy in ended:
            try:
                if self._end(copy):
                    drawn = copy.drawn
                    if drawn.ended_at:
                        self._compare(copy, drawn)
                    else:
                        drawn.early.append(copy)
            except Exception as error:
                _log.error("a copy of a request failed", exc_info=error)

    def _end(self, copy: Copy) -> bool:
        """Settle a copy. Return whether it has an answer, perhaps a broken one.

        Without one it was abandoned.
        """
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
        self._counts[outcome] += 1
        self._budget.settle(copy.reserved, used)
        return outcome != "abandoned"

    def _answered(self, drawn: Drawn) -> None:
        """Take the answer that a caller has got, and let the copies of a plain one begin."""
        try:
            if drawn.too_long:
                drawn.error = TOO_LONG
            elif drawn.ended is None:
                outcome = drawn.meter.outcome
                drawn.error = LEFT if outcome is None else outcome.value
            drawn.ended_at = perf_counter()
            if not drawn.request.job.stream:
                self._add(drawn)
            while drawn.early:
                self._compare(drawn.early.pop(), drawn)
        except Exception as error:
            _log.error("an answer could not be compared", exc_info=error)

    def _compare(self, copy: Copy, drawn: Drawn) -> None:
        """Hand over the answer that the caller has got, and that of a copy."""
        copy.spent = self._budget.spent
        self.writer.add(copy.size + drawn.chars + copy.chars, copy.pair)

    async def aclose(self) -> None:
        """Abandon the copies, write what is compared, and close the connections."""
        self._closing = True
        for timer in (self._group, self._timer):
            if timer is not None:
                timer.cancel()
        tasks = [copy.task for copy in self._running if copy.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._settle()
        for copy in list(self._running):
            # Its task was cancelled before its first step, which runs nothing of it.
            self._end(copy)
        for drawn in self._new:
            self._abandon(len(drawn.purposes))
        self._abandon(len(self._waiting))
        self._new.clear()
        self._waiting.clear()
        await asyncio.to_thread(self.writer.stop)
        await self._targets.aclose()
