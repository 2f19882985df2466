"""Who takes the steps of an exchange: by calling, or by awaiting. Nothing is decided here."""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Generator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from tenuto.client.base import (
    DEFAULT_CONNECTION_LIMITS,
    DEFAULT_MAX_RETRIES,
    BaseClient,
    Pool,
)
from tenuto.client.call import Call
from tenuto.client.exchange import Answer, Close, Outcome, Read, Send, Step, exchange
from tenuto.client.given import NotGiven, not_given
from tenuto.client.keywords import checked
from tenuto.client.responses import (
    APIResponse,
    AsyncAPIResponse,
    AsyncResponseContextManager,
    RawResponse,
    ResponseContextManager,
)
from tenuto.client.transports import AsyncEnvironmentTransport, EnvironmentTransport
from tenuto.client.types import TimeoutSpec
from tenuto.settings.client import client_environment

T = TypeVar("T")


class SyncSender(BaseClient):
    """Sends calls and waits for their answers. Many threads may use it at once."""

    _pool: Pool[httpx2.Client]

    @checked
    def __init__(
        self,
        *,
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: str | httpx2.URL | None = None,
        engine: str | None = None,
        timeout: TimeoutSpec | NotGiven = not_given,
        max_retries: int = DEFAULT_MAX_RETRIES,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        http_client: httpx2.Client | None = None,
        _strict_response_validation: bool = False,
    ) -> None:
        """Make a client. It connects when it is first used.

        Args:
            api_key: Sent as `x-api-key`. If neither this nor `auth_token` is given, both come from
                the environment, where the address allows it: see docs/client.md. A server without
                keys needs none; "" sends none.
            auth_token: Sent as `Authorization: Bearer`.
            base_url: The server; else TENUTO_BASE_URL or ANTHROPIC_BASE_URL, else
                `http://127.0.0.1:8000`.
            engine: Answer in this process, without a server: `local` with the model of the
                settings, `local:MODEL` with a file, a downloaded model or `hf:org/repo:file`, or
                `echo`, which repeats the question.
            timeout: Seconds to wait for the next byte, an `httpx2.Timeout`, or None for no limit;
                600, and 5 to connect, if not given.
            max_retries: How often a request is sent again that failed for a reason that may pass.
            default_headers: For all requests; they win over the client's own.
            default_query: Parameters for all URLs.
            http_client: An `httpx2.Client` with proxies, certificates or hooks of its own.

        Raises:
            TypeError: An argument is unknown or of a wrong type.
            ValueError: An argument is wrong, arguments contradict each other, or there is no such
                engine or model.
            ImportError: The engine is not installed.
        """
        self._configure(
            client_environment(),
            api_key=api_key,
            auth_token=auth_token,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            default_query=default_query,
            engine=engine,
            _strict_response_validation=_strict_response_validation,
        )
        _check_http_client(self.engine, http_client, httpx2.Client)
        embedded: httpx2.BaseTransport | None = None
        if self.engine is not None:
            from tenuto.client.embedded import EmbeddedTransport

            embedded = EmbeddedTransport(self.engine)
        self._pool = Pool(
            lambda: httpx2.Client(
                transport=embedded or EnvironmentTransport(DEFAULT_CONNECTION_LIMITS)
            ),
            http_client,
            httpx2.Client.close,
        )

    @checked
    def copy(
        self,
        *,
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: str | httpx2.URL | None = None,
        timeout: TimeoutSpec | NotGiven = not_given,
        max_retries: int | NotGiven = not_given,
        default_headers: Mapping[str, str] | None = None,
        set_default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        set_default_query: Mapping[str, object] | None = None,
        http_client: httpx2.Client | None = None,
    ) -> Self:
        """Make a client with some options changed; it shares the connections of this one.

        Args:
            api_key: As in the constructor, and so are all others; None leaves them as they are.
            auth_token: Sent as `Authorization: Bearer`.
            base_url: The server.
            timeout: Seconds, an `httpx2.Timeout`, or None for no limit.
            max_retries: How often a failed request is sent again.
            default_headers: On top of those that the client has.
            set_default_headers: Instead of them.
            default_query: On top of those that the client has.
            set_default_query: Instead of them.
            http_client: An `httpx2.Client` instead of the connections of this client.
        """
        _check_http_client(self.engine, http_client, httpx2.Client)
        new = self._copy(
            api_key=api_key,
            auth_token=auth_token,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            set_default_headers=set_default_headers,
            default_query=default_query,
            set_default_query=set_default_query,
        )
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
        steps = exchange(
            request,
            max_retries=self.max_retries,
            stream=stream,
            follow_redirects=self._pool.follows_redirects(),
        )
        answer = self._take(http, steps)
        if stream:
            _close_when_dropped(answer.response)
        return answer

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
                        outcome = http.send(request, stream=True, follow_redirects=False)
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

    @checked
    def __init__(
        self,
        *,
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: str | httpx2.URL | None = None,
        engine: str | None = None,
        timeout: TimeoutSpec | NotGiven = not_given,
        max_retries: int = DEFAULT_MAX_RETRIES,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        http_client: httpx2.AsyncClient | None = None,
        _strict_response_validation: bool = False,
    ) -> None:
        """Make a client. It connects when it is first used.

        Args:
            api_key: Sent as `x-api-key`. If neither this nor `auth_token` is given, both come from
                the environment, where the address allows it: see docs/client.md. A server without
                keys needs none; "" sends none.
            auth_token: Sent as `Authorization: Bearer`.
            base_url: The server; else TENUTO_BASE_URL or ANTHROPIC_BASE_URL, else
                `http://127.0.0.1:8000`.
            engine: Answer in this process, without a server: `local` with the model of the
                settings, `local:MODEL` with a file, a downloaded model or `hf:org/repo:file`, or
                `echo`, which repeats the question.
            timeout: Seconds to wait for the next byte, an `httpx2.Timeout`, or None for no limit;
                600, and 5 to connect, if not given.
            max_retries: How often a request is sent again that failed for a reason that may pass.
            default_headers: For all requests; they win over the client's own.
            default_query: Parameters for all URLs.
            http_client: An `httpx2.AsyncClient` with proxies, certificates or hooks of its own.

        Raises:
            TypeError: An argument is unknown or of a wrong type.
            ValueError: An argument is wrong, arguments contradict each other, or there is no such
                engine or model.
            ImportError: The engine is not installed.
        """
        self._configure(
            client_environment(),
            api_key=api_key,
            auth_token=auth_token,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            default_query=default_query,
            engine=engine,
            _strict_response_validation=_strict_response_validation,
        )
        _check_http_client(self.engine, http_client, httpx2.AsyncClient)
        embedded: httpx2.AsyncBaseTransport | None = None
        if self.engine is not None:
            from tenuto.client.embedded import AsyncEmbeddedTransport

            embedded = AsyncEmbeddedTransport(self.engine)
        self._pool = Pool(
            lambda: httpx2.AsyncClient(
                transport=embedded or AsyncEnvironmentTransport(DEFAULT_CONNECTION_LIMITS)
            ),
            http_client,
        )

    @checked
    def copy(
        self,
        *,
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: str | httpx2.URL | None = None,
        timeout: TimeoutSpec | NotGiven = not_given,
        max_retries: int | NotGiven = not_given,
        default_headers: Mapping[str, str] | None = None,
        set_default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        set_default_query: Mapping[str, object] | None = None,
        http_client: httpx2.AsyncClient | None = None,
    ) -> Self:
        """Make a client with some options changed; it shares the connections of this one.

        Args:
            api_key: As in the constructor, and so are all others; None leaves them as they are.
            auth_token: Sent as `Authorization: Bearer`.
            base_url: The server.
            timeout: Seconds, an `httpx2.Timeout`, or None for no limit.
            max_retries: How often a failed request is sent again.
            default_headers: On top of those that the client has.
            set_default_headers: Instead of them.
            default_query: On top of those that the client has.
            set_default_query: Instead of them.
            http_client: An `httpx2.AsyncClient` instead of the connections of this client.
        """
        _check_http_client(self.engine, http_client, httpx2.AsyncClient)
        new = self._copy(
            api_key=api_key,
            auth_token=auth_token,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            set_default_headers=set_default_headers,
            default_query=default_query,
            set_default_query=set_default_query,
        )
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
        steps = exchange(
            request,
            max_retries=self.max_retries,
            stream=stream,
            follow_redirects=self._pool.follows_redirects(),
        )
        answer = await self._take(http, steps)
        if stream:
            _close_on_the_loop_when_dropped(answer.response)
        return answer

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
                        outcome = await http.send(request, stream=True, follow_redirects=False)
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


def _close_when_dropped(response: httpx2.Response) -> None:
    """Close the connection of a response whose last reference is gone, whoever held it."""
    stream = response.stream
    assert isinstance(stream, httpx2.SyncByteStream)

    def close() -> None:
        # The connection may have ended long ago, and there is nobody to report to.
        with contextlib.suppress(Exception):
            stream.close()

    weakref.finalize(response, close).atexit = False


def _close_on_the_loop_when_dropped(response: httpx2.Response) -> None:
    """As `_close_when_dropped`; the closing runs on the loop that the response belongs to."""
    stream = response.stream
    assert isinstance(stream, httpx2.AsyncByteStream)
    loop = asyncio.get_running_loop()

    async def close() -> None:
        with contextlib.suppress(Exception):
            await stream.aclose()

    def begin() -> None:
        # Made here and not before: on a loop that has ended, nobody would await it.
        task = loop.create_task(close())
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    def schedule() -> None:
        with contextlib.suppress(RuntimeError):  # The loop has ended, and its connections with it.
            loop.call_soon_threadsafe(begin)

    weakref.finalize(response, schedule).atexit = False


_closing: set[asyncio.Task[None]] = set()
