"""An engine that asks another server."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from tenuto.core.job import Job, Piece
from tenuto.core.refusal import unsupported
from tenuto.engine.base import Capabilities, Health
from tenuto.engine.upstream.connection import Address, Connection
from tenuto.engine.upstream.failures import RequestRefused
from tenuto.engine.upstream.reading import Manner, pieces_of
from tenuto.engine.upstream.room import tokens_that_fit
from tenuto.slices import Slices
from tenuto.wire.long_json import json_steps

_STREAM_OPTIONS: Final = re.compile(r"stream_options|include_usage", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """A job, as another server is asked for it.

    Attributes:
        path: Below the server's base URL.
        body: The request's JSON.
        headers: On top of those that every request has; the key is added to them.
        manner: How the answer is read.
        most: The name of the field that says how many tokens to write.
    """

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    manner: Manner
    most: str = "max_tokens"


Steps: TypeAlias = Generator[None, None, Question]
"""Makes a question. Yields between two pieces of work, so that other requests go on."""


class UpstreamEngine:
    """Asks one server.

    Args:
        address: Where it is.
        ask: Makes the request for a job, in steps. Raises a `Refusal` for one that the server
            does not take.
        bearer: Whether a key is sent as `authorization: Bearer`, else as `x-api-key`.
        max_output_tokens: The most tokens that it is asked for; None: as many as the job says.
    """

    def __init__(
        self,
        address: Address,
        ask: Callable[[Job], Steps],
        *,
        bearer: bool = False,
        max_output_tokens: int | None = None,
    ) -> None:
        self._connection = Connection(address)
        self._ask = ask
        self._bearer = bearer
        self._max_output_tokens = max_output_tokens
        self._takes_stream_options = True
        self._running = 0
        self._slices = Slices()

    async def start(self) -> None:
        """Connects when the first job comes."""

    async def ready(self) -> str:
        """Ready at once. Whether the server answers shows when it is asked."""
        return self._connection.address.name

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """See `Engine.generate`."""
        size = job.prompt.size
        question = await self._question(job, size)
        fitted = begun = False
        self._running += 1
        try:
            while True:
                try:
                    data = await self._slices.run(json_steps(question.body), size)
                    async with self._connection.post(
                        question.path, data, question.headers
                    ) as answer:
                        pieces = pieces_of(answer, question.manner)
                        async with aclosing(pieces):
                            async for piece in pieces:
                                begun = True
                                yield piece
                    return
                except RequestRefused as refusal:
                    if begun:
                        raise
                    without = self._without_stream_options(question, refusal)
                    if without is not None:
                        question = without
                        continue
                    smaller = None if fitted else _fitted(question, refusal)
                    if smaller is None:
                        raise
                    fitted, question = True, smaller
        finally:
            self._running -= 1

    async def _question(self, job: Job, size: int) -> Question:
        if job.sampling.logprobs is not None:
            raise unsupported("logprobs", "they are not passed on from servers. Leave it out.")
        question = await self._slices.run(self._ask(job), size)
        body, most = question.body, self._max_output_tokens
        if most is not None and body[question.most] > most:
            body[question.most] = most
        if not self._takes_stream_options and body.pop("stream_options", None) is not None:
            question = replace(question, manner=replace(question.manner, awaits_usage=False))
        if key := self._connection.address.key_for(job):
            name, value = ("authorization", f"Bearer {key}") if self._bearer else ("x-api-key", key)
            question.headers[name] = value
        return question

    def _without_stream_options(
        self, question: Question, refusal: RequestRefused
    ) -> Question | None:
        """The question without what the server does not know, now and from now on."""
        if "stream_options" not in question.body or not _STREAM_OPTIONS.search(refusal.words):
            return None
        self._takes_stream_options = False
        body = {name: value for name, value in question.body.items() if name != "stream_options"}
        return replace(question, body=body, manner=replace(question.manner, awaits_usage=False))

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`. Not every model takes a seed; the answer shows which does."""
        return Capabilities(extensions=("seed",))

    def health(self) -> Health:
        """Always ready."""
        return Health(True, f"Asks {self._connection.address.name}.", running=self._running)

    async def aclose(self) -> None:
        """Close all connections. Running jobs raise a `Refusal`."""
        await self._connection.aclose()


def _fitted(question: Question, refusal: RequestRefused) -> Question | None:
    """The question for as many tokens as the server says that it has room for."""
    fits = tokens_that_fit(refusal.words, question.body[question.most])
    if fits is None:
        return None
    manner = question.manner
    warning = f"max_tokens_to_sample was lowered to {fits}, as many as there is room for"
    return replace(
        question,
        body=question.body | {question.most: fits},
        manner=replace(manner, warnings=(*manner.warnings, warning)),
    )
