"""A copy of a request, and its pair of answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import time
from typing import Final, NamedTuple

from tenuto.compare.answering import CostOf, measured
from tenuto.compare.comparison import Pair, Purpose
from tenuto.compare.reply import Reply
from tenuto.core.job import Accepted, Request
from tenuto.engine.base import Engine
from tenuto.stream.meter import Meter

_MODEL_CHARS: Final = 256


class Terms(NamedTuple):
    """The settings of all copies of a server.

    Attributes:
        to: The upstream that they are for, `NAME` or `NAME:MODEL`.
        cost_of: The prices; None without any.
        keeps_texts: Whether comparisons hold prompts and answers.
        ended: Called with each copy that has ended, or was cancelled.
    """

    to: str
    cost_of: CostOf | None
    keeps_texts: bool
    ended: Callable[[Copy], None]


class Drawn(Reply):
    """A request that is copied, and the answer that its caller gets.

    Args:
        request_id: The request's id.
        request: The request.
        purposes: Those of its copies.
        accepted: How the answer began.
        meter: Measures the answer.
        answered: Called at its end.

    Attributes:
        id, request, purposes: The arguments.
        at: Time of the request, in seconds since 1970.
        early: Copies that have got an answer while this one goes on.
    """

    __slots__ = ("_answered", "at", "early", "id", "purposes", "request")

    def __init__(
        self,
        request_id: str,
        request: Request,
        purposes: Sequence[Purpose],
        accepted: Accepted,
        meter: Meter,
        answered: Callable[[Drawn], None],
    ) -> None:
        super().__init__(meter, accepted)
        self.id: str = request_id
        self.request: Request = request
        self.purposes: Sequence[Purpose] = purposes
        self.at: float = time()
        self.early: list[Copy] = []
        self._answered = answered

    def done(self) -> None:
        """Report the end."""
        # Each refers to the other.
        self.meter.transcript = None
        self._answered(self)


class Copy(Reply):
    """The second answer to a request.

    Args:
        drawn: The request.
        purpose: The purpose of the second answer.
        size: Bytes of the prompt.
        engine: The engine of the copy.
        reserved: Tokens that it may use.
        terms: Those of all copies.

    Attributes:
        drawn, size, engine, reserved: The arguments.
        spent: Tokens of copies on this day, when the comparison is complete.
        task: Asks for the answer; None when it has ended.
    """

    __slots__ = ("_purpose", "_terms", "drawn", "engine", "reserved", "size", "spent", "task")

    def __init__(
        self,
        drawn: Drawn,
        purpose: Purpose,
        size: int,
        engine: Engine,
        reserved: int,
        terms: Terms,
    ) -> None:
        super().__init__(Meter())
        self._purpose = purpose
        self._terms = terms
        self.drawn: Drawn = drawn
        self.size: int = size
        self.engine: Engine = engine
        self.reserved: int = reserved
        self.spent: int = 0
        self.task: asyncio.Task[None] | None = None

    def finished(self) -> None:
        """Report the end."""
        self._terms.ended(self)

    def pair(self) -> Pair:
        """Return the pair of answers, when both are there. In any thread."""
        to, cost_of, keeps_texts, _ = self._terms
        drawn = self.drawn
        job = drawn.request.job
        prompt, model = job.prompt, job.model
        return Pair(
            drawn.id,
            drawn.at,
            self._purpose,
            model[:_MODEL_CHARS],
            measured(drawn, model, cost_of),
            measured(self, model, cost_of),
            to,
            prompt.prefill,
            str(prompt.whole()) if keeps_texts else None,
            self.spent,
            job.caller.key if keeps_texts else None,
        )
