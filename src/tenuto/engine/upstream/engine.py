"""An engine that asks another server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from tenuto.engine.base import Job, Piece, Status
from tenuto.engine.upstream.connection import Address, Connection
from tenuto.engine.upstream.reading import ReadEvent, ReadWhole, streamed, whole
from tenuto.prompt.render import Continuation


@dataclass(frozen=True, slots=True)
class Question:
    """A job, as another server is asked for it.

    Attributes:
        path: Below the server's base URL.
        body: The request's JSON; `stream` in it says how the answer comes.
        headers: On top of those that every request has; the key is added to them.
        read_event: Reads an event of a streamed answer.
        read_whole: Reads any other answer.
        continuation: What makes a completion of the answer's text; None if it is one.
    """

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    read_event: ReadEvent
    read_whole: ReadWhole
    continuation: Continuation | None = None


class UpstreamEngine:
    """Asks one server.

    Args:
        address: Where it is.
        ask: What it is asked for a job. Raises `UpstreamError` for one that it does not take.
        bearer: Whether a key is sent as `authorization: Bearer`, else as `x-api-key`.
    """

    def __init__(
        self, address: Address, ask: Callable[[Job], Question], *, bearer: bool = False
    ) -> None:
        self._connection = Connection(address)
        self._ask = ask
        self._bearer = bearer
        self._running = 0

    async def start(self) -> None:
        """Connects when the first job comes."""

    async def ready(self) -> str:
        """Ready at once. Whether the server answers shows when it is asked."""
        return self._connection.address.name

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """See `Engine.generate`."""
        asked = self._ask(job)
        if key := self._connection.address.key_for(job):
            name, value = ("authorization", f"Bearer {key}") if self._bearer else ("x-api-key", key)
            asked.headers[name] = value
        self._running += 1
        try:
            async with self._connection.post(asked.path, asked.body, asked.headers) as answer:
                pieces = (
                    streamed(answer, asked.read_event, asked.continuation)
                    if asked.body["stream"]
                    else whole(answer, asked.read_whole, asked.continuation)
                )
                async with aclosing(pieces):
                    async for piece in pieces:
                        yield piece
        finally:
            self._running -= 1

    async def ping(self) -> Status:
        """Always ready."""
        name = self._connection.address.name
        return Status(True, None, f"Asks {name}.", running=self._running)

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._connection.aclose()
