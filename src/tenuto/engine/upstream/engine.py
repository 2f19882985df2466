"""An engine that sends jobs to an upstream."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from tenuto.core.job import Job, Piece
from tenuto.core.refusal import unsupported
from tenuto.engine.base import Capabilities, Health
from tenuto.engine.upstream.connection import Address, Connection
from tenuto.engine.upstream.failures import RequestRefused
from tenuto.engine.upstream.kind import ServerUpstream
from tenuto.engine.upstream.pieces import pieces_of
from tenuto.engine.upstream.request import UpstreamRequest
from tenuto.engine.upstream.room import tokens_that_fit
from tenuto.slices import Slices
from tenuto.wire.long_json import json_steps

_STREAM_OPTIONS: Final = re.compile(r"stream_options|include_usage", re.IGNORECASE)


class UpstreamEngine:
    """Send jobs to one upstream.

    Args:
        address: Its address.
        upstream: Its settings, whose class is its kind.
    """

    def __init__(self, address: Address, upstream: ServerUpstream) -> None:
        self._connection = Connection(address)
        self._upstream = upstream
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
        request = await self._request(job, size)
        fitted = begun = False
        self._running += 1
        try:
            while True:
                try:
                    data = await self._slices.run(json_steps(request.body), size)
                    async with self._connection.post(request.path, data, request.headers) as answer:
                        pieces = pieces_of(answer, request.manner)
                        async with aclosing(pieces):
                            async for piece in pieces:
                                begun = True
                                yield piece
                    return
                except RequestRefused as refusal:
                    if begun:
                        raise
                    without = self._without_stream_options(request, refusal)
                    if without is not None:
                        request = without
                        continue
                    smaller = None if fitted else _fitted(request, refusal)
                    if smaller is None:
                        raise
                    fitted, request = True, smaller
        finally:
            self._running -= 1

    async def _request(self, job: Job, size: int) -> UpstreamRequest:
        if job.sampling.logprobs is not None:
            raise unsupported("logprobs", "they are not passed on from servers. Leave it out.")
        request = await self._slices.run(self._upstream.request_for(job), size)
        body, most = request.body, self._upstream.max_output_tokens
        if most is not None and body[request.most] > most:
            body[request.most] = most
        if not self._takes_stream_options and body.pop("stream_options", None) is not None:
            request = replace(request, manner=replace(request.manner, awaits_usage=False))
        if key := self._connection.address.key_for(job):
            name, value = self._upstream.key_as_header(key)
            request.headers[name] = value
        return request

    def _without_stream_options(
        self, request: UpstreamRequest, refusal: RequestRefused
    ) -> UpstreamRequest | None:
        """Return the request without the field that the server refuses. Later ones lack it too."""
        if "stream_options" not in request.body or not _STREAM_OPTIONS.search(refusal.words):
            return None
        self._takes_stream_options = False
        body = {name: value for name, value in request.body.items() if name != "stream_options"}
        return replace(request, body=body, manner=replace(request.manner, awaits_usage=False))

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


def _fitted(request: UpstreamRequest, refusal: RequestRefused) -> UpstreamRequest | None:
    """Return the request with as many tokens as the server reports room for."""
    fits = tokens_that_fit(refusal.words, request.body[request.most])
    if fits is None:
        return None
    manner = request.manner
    warning = f"max_tokens_to_sample was lowered to {fits}, as many as there is room for"
    return replace(
        request,
        body=request.body | {request.most: fits},
        manner=replace(manner, warnings=(*manner.warnings, warning)),
    )
