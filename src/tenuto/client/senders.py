"""Who takes the steps of an exchange: by calling, or by awaiting. Nothing is decided here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx2

from tenuto.client.base import (
    DEFAULT_CONNECTION_LIMITS,
    BaseClient,
    ClientOptions,
    CopyOptions,
    Pool,
)
from tenuto.client.call import Call
from tenuto.client.exchange import Answer, Close, Outcome, Read, Send, Step, exchange
from tenuto.client.responses import (
    APIResponse,
    AsyncAPIResponse,
    AsyncResponseContextManager,
    RawResponse,
    ResponseContextManager,
)

T = TypeVar("T")


class SyncSender(BaseClient):
    """Sends calls and waits for their answers. Many threads may use it at once."""

    _pool: Pool[httpx2.Client]

    def __init__(
        self, *, http_client: httpx2.Client | None = None, **options: Unpack[ClientOptions]
    ) -> None:
        super().__init__(**options)
        _check_http_client(self.engine, http_client, httpx2.Client)
        transport: httpx2.BaseTransport | None = None
        if self.engine is not None:
            from tenuto.client.embedded import EmbeddedTransport

            transport = EmbeddedTransport(self.engine)
        self._pool = Pool(
            lambda: httpx2.Client(
                limits=DEFAULT_CONNECTION_LIMITS, follow_redirects=True, transport=transport
            ),
            http_client,
            httpx2.Client.close,
        )

    def copy(
        self, *, http_client: httpx2.Client | None = None, **changes: Unpack[CopyOptions]
    ) -> Self:
        """A client with some options changed; it shares the connections of this one."""
        _check_http_client(self.engine, http_client, httpx2.Client)
        new = self._copy(**changes)
        new._pool = self._pool if http_client is None else Pool(lambda: http_client, http_client)
        return new

    with_options = copy

    def is_closed(self) -> bool:
        """Whether it was closed, or a client that shares its connections."""
        return self._pool.closed

    def close(self) -> None:
        """Ends all connections, and the engine. The client and its copies are of no use then."""
        http = self._pool.close()
        if http is not None:
            http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _parsed(self, call: Call[T]) -> T:
        return call.parse(self._answer(call, stream=call.stream).response, self._strict)

    def _raw(self, call: Call[T]) -> RawResponse[T]:
        return RawResponse(self._answer(call, stream=call.stream), call, strict=self._strict)

    def _streamed(self, call: Call[T]) -> ResponseContextManager[T]:
        return ResponseContextManager(
            lambda: APIResponse(self._answer(call, stream=True), call, strict=self._strict)
        )

    def _answer(self, call: Call[Any], *, stream: bool) -> Answer:
        http = self._pool.get()
        request = http.build_request(**self._parts(call))
        return self._take(http, exchange(request, max_retries=self.max_retries, stream=stream))

    @staticmethod
    def _take(http: httpx2.Client, steps: Generator[Step, Outcome, Answer]) -> Answer:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                answer: Answer = done.value
                return answer
            outcome = None
            try:
                match step:
                    case Send(request):
                        outcome = http.send(request, stream=True)
                    case Read(response):
                        response.read()
                    case Close(response):
                        response.close()
                    case _:
                        time.sleep(step.seconds)
            except httpx2.HTTPError as error:
                outcome = error


class AsyncSender(BaseClient):
    """As `SyncSender`, for one event loop. Cancelling a call closes its connection."""

    _pool: Pool[httpx2.AsyncClient]

    def __init__(
        self, *, http_client: httpx2.AsyncClient | None = None, **options: Unpack[ClientOptions]
    ) -> None:
        super().__init__(**options)
        _check_http_client(self.engine, http_client, httpx2.AsyncClient)
        transport: httpx2.AsyncBaseTransport | None = None
        if self.engine is not None:
            from tenuto.client.embedded import AsyncEmbeddedTransport

            transport = AsyncEmbeddedTransport(self.engine)
        self._pool = Pool(
            lambda: httpx2.AsyncClient(
                limits=DEFAULT_CONNECTION_LIMITS, follow_redirects=True, transport=transport
            ),
            http_client,
        )

    def copy(
        self, *, http_client: httpx2.AsyncClient | None = None, **changes: Unpack[CopyOptions]
    ) -> Self:
        """A client with some options changed; it shares the connections of this one."""
        _check_http_client(self.engine, http_client, httpx2.AsyncClient)
        new = self._copy(**changes)
        new._pool = self._pool if http_client is None else Pool(lambda: http_client, http_client)
        return new

    with_options = copy

    def is_closed(self) -> bool:
        """Whether it was closed, or a client that shares its connections."""
        return self._pool.closed

    async def close(self) -> None:
        """Ends all connections, and the engine. The client and its copies are of no use then."""
        http = self._pool.close()
        if http is not None:
            await http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _parsed(self, call: Call[T]) -> T:
        answer = await self._answer(call, stream=call.stream)
        return call.parse(answer.response, self._strict)

    async def _raw(self, call: Call[T]) -> RawResponse[T]:
        return RawResponse(await self._answer(call, stream=call.stream), call, strict=self._strict)

    def _streamed(self, call: Call[T]) -> AsyncResponseContextManager[T]:
        async def send() -> AsyncAPIResponse[T]:
            return AsyncAPIResponse(
                await self._answer(call, stream=True), call, strict=self._strict
            )

        return AsyncResponseContextManager(send)

    async def _answer(self, call: Call[Any], *, stream: bool) -> Answer:
        http = self._pool.get()
        request = http.build_request(**self._parts(call))
        steps = exchange(request, max_retries=self.max_retries, stream=stream)
        return await self._take(http, steps)

    @staticmethod
    async def _take(http: httpx2.AsyncClient, steps: Generator[Step, Outcome, Answer]) -> Answer:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                answer: Answer = done.value
                return answer
            outcome = None
            try:
                match step:
                    case Send(request):
                        outcome = await http.send(request, stream=True)
                    case Read(response):
                        await response.aread()
                    case Close(response):
                        await response.aclose()
                    case _:
                        await asyncio.sleep(step.seconds)
            except httpx2.HTTPError as error:
                outcome = error


def _check_http_client(engine: str | None, http_client: object, kind: type) -> None:
    if http_client is None:
        return
    if engine is not None:
        raise ValueError("engine answers without HTTP: leave out engine or http_client")
    if not isinstance(http_client, kind):
        found = type(http_client)
        raise TypeError(
            f"http_client must be an httpx2.{kind.__name__}, not {found.__module__}."
            f"{found.__qualname__}; the classes of httpx2 take the same arguments"
        )
