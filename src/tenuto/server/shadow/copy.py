"""A copy of a request, and its pair of answers."""

from __future__ import annotations

import asyncio
from time import time
from typing import Final

from tenuto.compare.answering import CostOf, measured
from tenuto.compare.comparison import Pair, Purpose
from tenuto.compare.reply import Reply
from tenuto.core.job import Request
from tenuto.engine.base import Engine
from tenuto.stream.meter import Meter

_MODEL_CHARS: Final = 256


class Copy:
    """A request that is sent a second time.

    Args:
        request_id: The request's id.
        purpose: The second answer.
        request: The request.
        size: Bytes of its prompt.
        engine: The engine of the copy.
        reserved: Tokens that it may use.

    Attributes:
        request, size, engine, reserved: The arguments.
        a: The answer that the caller has got; None before its end.
        b: The second answer.
        has_answer: Whether `b` is complete, or has broken off with an error.
        task: Asks for it; None while the copy waits for others, or for the end of a plain answer,
            and when it has ended.
    """

    __slots__ = (
        *("_at", "_id", "_purpose", "a", "b", "engine", "has_answer", "request", "reserved"),
        *("size", "task"),
    )

    def __init__(
        self,
        request_id: str,
        purpose: Purpose,
        request: Request,
        size: int,
        engine: Engine,
        reserved: int,
    ) -> None:
        self._id = request_id
        self._at = time()
        self._purpose = purpose
        self.size = size
        self.request = request
        self.engine = engine
        self.reserved = reserved
        self.a: Reply | None = None
        self.b: Reply = Reply(Meter())
        self.has_answer: bool = False
        self.task: asyncio.Task[None] | None = None

    def pair(self, a: Reply, to: str, spent: int, cost_of: CostOf | None, keep_texts: bool) -> Pair:
        """Return the pair of answers, when both are there. In any thread.

        Args:
            a: The answer that the caller has got.
            to: The upstream of the second answer, `NAME` or `NAME:MODEL`.
            spent: Tokens of copies since the beginning of the day.
            cost_of: The prices; None without any.
            keep_texts: Whether the pair has the prompt, too.
        """
        job = self.request.job
        prompt, model = job.prompt, job.model
        return Pair(
            self._id,
            self._at,
            self._purpose,
            model[:_MODEL_CHARS],
            measured(a, model, cost_of),
            measured(self.b, model, cost_of),
            to,
            prompt.prefill,
            str(prompt.whole()) if keep_texts else None,
            spent,
            job.caller.key if keep_texts else None,
        )
