"""A whole server in memory: the same application, no socket.

The application and its engine run on an event loop of their own, in a thread: so a client that
blocks may be used where a loop runs already, as in Jupyter, and one that is awaited may be used
from one loop after another. Requests and answers cross over as ASGI messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, MutableMapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import httpx2

from tenuto.engine.base import Engine, ModelError
from tenuto.engine.registry import create
from tenuto.settings import EngineSettings, LocalSettings, Settings
from tenuto.wire.errors import InternalError

T = TypeVar("T")
Message: TypeAlias = MutableMapping[str, Any]
Deliver: TypeAlias = Callable[[Message | None], None]
"""Takes a message of the application; None when it has ended, with or without an answer."""

# A script that names a large model wants it, however long it takes to load.
_LOAD_WAIT_S = 3600.0


def engine_settings(name: str) -> EngineSettings:
    """The settings of an engine from its short name, as `ClientOptions` describes it.

    Raises:
        ValueError: There is no such engine.
    """
    kind, _, path = name.partition(":")
    if kind == "echo" and not path:
        return EngineSettings(name="echo")
    if kind != "local":
        raise ValueError(f"no engine {name!r}; there are: local, local:PATH.gguf, echo")
    model = Path(path).expanduser() if path else None
    return EngineSettings(local=LocalSettings(model=model, load_wait_s=_LOAD_WAIT_S))


class EmbeddedServer:
    """The application with its engine, which starts with the first request.

    Args:
        name: See `engine_settings`.

    Raises:
        ValueError: There is no such engine, or its model is missing or damaged.
    """

    def __init__(self, name: str) -> None:
        self._settings = Settings(engine=engine_settings(name))
        try:
            self._engine = create(self._settings.engine)
        except ModelError as error:
            raise ValueError(f"engine: {error}") from None
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._closed = False

    def start(self) -> _Running:
        """Starts it, if that was not done yet.

        Raises:
            httpx2.ConnectError: It was closed.
        """
        with self._lock:
            if self._closed:
                raise httpx2.ConnectError("the engine has ended with its client")
            if self._running is None:
                self._running = _Running(self._settings, self._engine)
                # Whoever forgets to close the client, or ends the program, ends the engine too.
                weakref.finalize(self, self._running.stop)
            return self._running

    def close(self) -> None:
        """Ends the engine, and the requests that it still answers. Returns when all is gone."""
        with self._lock:
            self._closed = True
            if self._running is not None:
                self._running.stop()


class _Running:
    """A thread with an event loop, and on it the application."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._loop = asyncio.new_event_loop()
        self._exits = AsyncExitStack()
        self._stopped = False
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="tenuto-engine", daemon=True
        )
        self._thread.start()
        self._started = self.submit(self._start())

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Runs something on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[[], object]) -> None:
        """Calls something on the loop, unless that has ended."""
        if not self._stopped:
            self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        """Ends the application, the engine, the loop and the thread."""
        if self._stopped:
            return
        self.submit(self._end()).result()
        self._stopped = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def answer(self, scope: Message, body: bytes, gone: asyncio.Event, to: Deliver) -> None:
        """Has the application answer a request.

        Args:
            scope: Of ASGI.
            body: The request's, whole.
            gone: Set when nobody waits for the answer any more.
            to: Takes the answer.
        """
        requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if requests:
                return requests.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if not gone.is_set():
                to(message)

        try:
            app = await asyncio.shield(asyncio.wrap_future(self._started))
            await app(scope, receive, send)
        except ModelError as error:
            await _refuse(str(error), send)
        finally:
            to(None)

    async def _start(self) -> Any:
        # Here and not above: a client that asks a server over HTTP needs none of it.
        from tenuto.server.app import create_app

        app = create_app(self._settings, self._engine, log_requests=False)
        await self._engine.start()
        self._exits.push_async_callback(self._engine.aclose)
        await self._engine.ready()
        return app

    async def _end(self) -> None:
        await asyncio.wait([asyncio.wrap_future(self._started)])
        await self._exits.aclose()
        this = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not this]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        with contextlib.suppress(RuntimeError):  # Python itself is ending, and starts no thread.
            await self._loop.shutdown_default_executor()


async def _refuse(why: str, send: Callable[[Message], Coroutine[Any, Any, None]]) -> None:
    """Answers for an application that could not be started. Asking again will not help."""
    headers = [(b"content-type", b"application/json"), (b"x-should-retry", b"false")]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    body = json.dumps(InternalError(why).body()).encode()
    await send({"type": "http.response.body", "body": body, "more_body": False})


class _Exchange:
    """One request and its answer, seen from the client's side."""

    def __init__(
        self, running: _Running, request: httpx2.Request, body: bytes, to: Deliver
    ) -> None:
        self._running = running
        self._gone = asyncio.Event()
        self.read_timeout_s: float | None = request.extensions.get("timeout", {}).get("read")
        running.submit(running.answer(_scope(request), body, self._gone, to))

    def leave(self) -> None:
        """Nobody waits any more: the application is told as if a connection had closed."""
        self._running.call(self._gone.set)


def _scope(request: httpx2.Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 0),
        "root_path": "",
    }


def _response(start: Message | None, stream: Any) -> httpx2.Response:
    if start is None:
        raise httpx2.RemoteProtocolError("the engine ended without an answer")
    headers = [(bytes(name), bytes(value)) for name, value in start["headers"]]
    return httpx2.Response(start["status"], headers=headers, stream=stream)


def _body(message: Message | None) -> bytes:
    if message is None:
        raise httpx2.RemoteProtocolError("the engine ended in the middle of an answer")
    body: bytes = message.get("body", b"")
    return body


class EmbeddedTransport(httpx2.BaseTransport):
    """httpx2's way to an embedded server, for a client that blocks.

    Args:
        name: See `engine_settings`.
    """

    def __init__(self, name: str) -> None:
        self._server = EmbeddedServer(name)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends a request. See httpx2."""
        messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        running = self._server.start()
        exchange = _Exchange(running, request, request.read(), messages.put)

        def receive() -> Message | None:
            try:
                return messages.get(timeout=exchange.read_timeout_s)
            except queue.Empty:
                raise httpx2.ReadTimeout("the engine is silent", request=request) from None

        try:
            return _response(receive(), _Body(receive, exchange))
        except BaseException:
            exchange.leave()
            raise

    def close(self) -> None:
        """Ends the engine."""
        self._server.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, receive: Callable[[], Message | None], exchange: _Exchange) -> None:
        self._receive = receive
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        more = True
        while more:
            message = self._receive()
            yield _body(message)
            more = message is not None and message.get("more_body", False)

    def close(self) -> None:
        self._exchange.leave()


class AsyncEmbeddedTransport(httpx2.AsyncBaseTransport):
    """httpx2's way to an embedded server, for a client that is awaited.

    Args:
        name: See `engine_settings`.
    """

    def __init__(self, name: str) -> None:
        self._server = EmbeddedServer(name)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends a request. See httpx2."""
        messages: asyncio.Queue[Message | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(message: Message | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(messages.put_nowait, message)

        running = self._server.start()
        exchange = _Exchange(running, request, await request.aread(), deliver)

        async def receive() -> Message | None:
            try:
                return await asyncio.wait_for(messages.get(), exchange.read_timeout_s)
            except TimeoutError:
                raise httpx2.ReadTimeout("the engine is silent", request=request) from None

        try:
            return _response(await receive(), _AsyncBody(receive, exchange))
        except BaseException:
            exchange.leave()
            raise

    async def aclose(self) -> None:
        """Ends the engine."""
        await asyncio.to_thread(self._server.close)


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(
        self, receive: Callable[[], Coroutine[Any, Any, Message | None]], exchange: _Exchange
    ) -> None:
        self._receive = receive
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            yield _body(message)
            more = message is not None and message.get("more_body", False)

    async def aclose(self) -> None:
        self._exchange.leave()
