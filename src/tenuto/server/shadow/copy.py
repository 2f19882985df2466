"""A copy of a request, and its pair of answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time
from typing import Final, NamedTuple

from tenuto.compare.answering import CostOf, measured
from tenuto.compare.comparison import Pair, Purpose
from tenuto.compare.reply import Reply
from tenuto.core.job import Request
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


class Copy(Reply):
    """The second answer to a request, with the request.

    Args:
        request_id: The request's id.
        purpose: The purpose of the second answer.
        request: The request.
        size: Bytes of its prompt.
        engine: The engine of the copy.
        reserved: Tokens that it may use.
        terms: Those of all copies.

    Attributes:
        request, size, engine, reserved: The arguments.
        first: The answer that the caller has got; None before its end.
        has_answer: Whether the answer is complete, or has broken off with an error.
        spent: Tokens of copies on this day, when the comparison is complete.
        task: Asks for the answer; None while the copy waits for others, or for the end of a plain
            answer, and when it has ended.
    """

    __slots__ = (
        *("_at", "_id", "_purpose", "_terms", "engine", "first", "has_answer", "request"),
        *("reserved", "size", "spent", "task"),
    )

    def __init__(
        self,
        request_id: str,
        purpose: Purpose,
        request: Request,
        size: int,
        engine: Engine,
        reserved: int,
        terms: Terms,
    ) -> None:
        super().__init__(Meter())
        self._id = request_id
        self._at = time()
        self._purpose = purpose
        self._terms = terms
        self.request = request
        self.size = size
        self.engine = engine
        self.reserved = reserved
        self.first: Reply | None = None
        self.has_answer: bool = False
        self.spent: int = 0
        self.task: asyncio.Task[None] | None = None

    def finished(self) -> None:
        """Report the end."""
        self._terms.ended(self)

    def pair(self) -> Pair:
        """Return the pair of answers, when both are there. In any thread."""
        assert self.first is not None
        to, cost_of, keeps_texts, _ = self._terms
        job = self.request.job
        prompt, model = job.prompt, job.model
        return Pair(
            self._id,
            self._at,
            self._purpose,
            model[:_MODEL_CHARS],
            measured(self.first, model, cost_of),
            measured(self, model, cost_of),
            to,
            prompt.prefill,
            str(prompt.whole()) if keeps_texts else None,
            self.spent,
            job.caller.key if keeps_texts else None,
        )
