"""Trials of suspects: requests that may have killed the worker run one at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from tenuto.core.job import Job
from tenuto.core.refusal import failed, overloaded
from tenuto.engine.local.suspects import Suspects, Verdict

_KILLS: Final = (
    "The engine stopped unexpectedly twice while it worked on this request, so it does not try it "
    "again. Change the prompt, or ask the operator to look into the server's log."
)
_BUSY: Final = (
    "The engine stopped while it worked on this request and others, which are now tried one after "
    "another. Try again in a moment."
)


@dataclass(slots=True)
class Trial:
    """The turn of one job.

    Attributes:
        tokens: The trial ends when the job has written more tokens.
        active: Whether the trial has not ended.
    """

    tokens: int
    _turn: asyncio.Lock
    active: bool = True

    def wrote(self, tokens: int) -> None:
        """End the trial if the job has passed it, with all the tokens that it wrote."""
        if tokens > self.tokens:
            self.end()

    def end(self) -> None:
        """Let the next trial begin. Later calls do nothing."""
        if self.active:
            self.active = False
            self._turn.release()


class Trials:
    """Decide which jobs may begin.

    Args:
        suspects: The requests that may have killed the worker.
        wait_s: Longest wait for a turn, in seconds.
    """

    def __init__(self, suspects: Suspects, wait_s: float) -> None:
        self._suspects = suspects
        self._wait_s = wait_s
        self._turn = asyncio.Lock()

    async def begin(self, job: Job) -> Trial:
        """Wait until a job may begin. Return its trial, which is over if it is not a suspect.

        Raises:
            Refusal: The job has killed the worker, or its turn did not come in time.
        """
        while True:
            verdict = self._suspects.verdict(job)
            if verdict is Verdict.REFUSED:
                raise failed(_KILLS, retryable=False)
            if verdict is Verdict.FREE:
                return Trial(0, self._turn, active=False)
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._turn.acquire()
            except TimeoutError:
                raise overloaded(_BUSY) from None
            if self._suspects.verdict(job) is Verdict.TRIAL:
                return Trial(self._suspects.trial_tokens(job), self._turn)
            self._turn.release()
