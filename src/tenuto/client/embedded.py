"""A whole server in memory: the same application, no socket.

The application and its engine run on an event loop of their own, in a thread: so a client that
blocks may be used where a loop runs already, as in Jupyter, and one that is awaited may be used
from one loop after another. Requests and answers cross over as ASGI messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import queue
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, MutableMapping
from contextlib import AsyncExitStack
from typing import Any, TypeAlias, TypeVar

import httpx2

from tenuto.client.engines import download_quietly, embedded_settings
from tenuto.core.extras import check
from tenuto.core.refusal import ModelError, failed
from tenuto.engine.base import Engine
from tenuto.models.errors import ModelUnavailable
from tenuto.service import open_engine
from tenuto.settings import Settings
from tenuto.wire.errors import error_body

T = TypeVar("T")
Message: TypeAlias = MutableMapping[str, Any]
Received: TypeAlias = Message | BaseException | None
Deliver: TypeAlias = Callable[[Received], None]
"""Takes a message of the application; None when it has ended, or what it raised."""

# An engine that does not end in this time is left to the end of the process.
_END_WAIT_S = 10.0

_CLOSED = "the engine was closed with its client"


class EmbeddedServer:
    """The application with its engine, which starts with the first request.

    A process that was forked starts an engine of its own.

    Args:
        name: See `embedded_settings`.

    Raises:
        ValueError: There is no such engine, or its model is missing or damaged.
        ImportError: The engine is not installed.
    """

    def __init__(self, name: str) -> None:
        self._settings = embedded_settings(name)
        # Not imported yet: the application is made while the model loads.
        check("starlette", "local", "the embedded server")
        self._engine: Engine | None = self._created()
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._finalizer: Any = None
        self._closed = False
        _servers.add(self)

    def start(self) -> _Running:
        """Start it, if that was not done yet.

        Raises:
            httpx2.LocalProtocolError: It was closed.
        """
        with self._lock:
            if self._closed:
                raise httpx2.LocalProtocolError(_CLOSED)
            if self._running is None:
                engine, self._engine = self._engine or self._created(), None
                self._running = _Running(self._settings, engine)
                # Whoever forgets to close the client, or ends the program, ends the engine too.
                self._finalizer = weakref.finalize(self, self._running.stop)
            return self._running

    def close(self) -> None:
        """End the engine, and the requests that it still answers, also one that still loads."""
        with self._lock:
            self._closed = True
            running = self._running
        if running is not None:
            running.stop()

    def leave_to_the_parent(self) -> None:
        """In a forked process: forget what runs in the parent only, and touch none of it."""
        self._lock = threading.Lock()
        self._engine = None
        if self._running is not None:
            self._finalizer.detach()
            _keep_for_ever(self._running)
            self._running = None

    def _created(self) -> Engine:
        try:
            return open_engine(self._settings, download_quietly)
        except (ModelError, ModelUnavailable) as error:
            raise ValueError(f"engine: {error}") from None


# The server's log of requests is for its operator; here every caller sees his own errors.
for _name in ("tenuto.request", "tenuto.server"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

_servers: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


def _after_fork() -> None:
    for server in list(_servers):
        server.leave_to_the_parent()


os.register_at_fork(after_in_child=_after_fork)


def _keep_for_ever(running: _Running) -> None:
    """Keep an object of the parent process alive in a forked one.

    Its destructors would reach into the parent: both share one epoll object, from which they
    would take the parent's sockets, and a process handle, which they would kill.
    """
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(running))


class _Running:
    """A thread with an event loop, and on it the application."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._exits = AsyncExitStack()
        self._lock = threading.Lock()
        self._ending = False
        self._end_task: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[Any] | None = None
        self._requests: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="tenuto-engine", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run something on the loop.

        Raises:
            httpx2.LocalProtocolError: The engine was closed, at this moment perhaps.
        """
        with self._lock:
            if self._ending or self._pid != os.getpid():
                raise httpx2.LocalProtocolError(_CLOSED)
            self._loop.call_soon_threadsafe(self._begin, work)

    def call(self, function: Callable[[], object]) -> None:
        """Call something on the loop, unless that has ended."""
        if self._pid == os.getpid():
            with contextlib.suppress(RuntimeError):  # It has ended.
                self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        """End the application, the engine, the loop and the thread.

        The garbage collector may call this on any thread, also on the loop's own, where nothing
        can be waited for.
        """
        if self._pid != os.getpid():
            return
        here = threading.current_thread() is self._thread
        # The loop's own thread may have been interrupted while it held the lock.
        if self._lock.acquire(blocking=not here):
            already, self._ending = self._ending, True
            self._lock.release()
        else:
            already, self._ending = False, True
        if not already:
            self.call(self._begin_end)
        if not here:
            self._thread.join(_END_WAIT_S)

    async def answer(self, scope: Message, body: bytes, gone: asyncio.Event, to: Deliver) -> None:
        """Have the application answer a request.

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

        end: BaseException | None = None
        try:
            app = await self._application()
            await app(scope, receive, send)
        except ModelError as error:
            await _refuse(str(error), send)
        except asyncio.CancelledError:
            end = httpx2.LocalProtocolError(_CLOSED)
        except Exception as error:
            end = error
        finally:
            to(end)

    async def _application(self) -> Any:
        """Return the application, once the engine is ready."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        # Not awaited itself: who leaves must not cancel it for the others.
        await asyncio.wait([self._starting])
        return self._starting.result()

    async def _start(self) -> Any:
        # Here and not above: a client that asks a server over HTTP needs none of it.
        from tenuto.server.app import create_app

        app = create_app(self._settings, self._engine)
        self._exits.push_async_callback(self._engine.aclose)
        await self._engine.start()
        await self._engine.ready()
        return app

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = self._loop.create_task(work())
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    def _begin_end(self) -> None:
        self._end_task = self._loop.create_task(self._end())
        self._end_task.add_done_callback(lambda _: self._loop.stop())

    async def _end(self) -> None:
        # The requests first: their callers left, and no engine failed.
        for task in list(self._requests):
            task.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        with contextlib.suppress(Exception):
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
    body = json.dumps(error_body(failed(why))).encode()
    await send({"type": "http.response.body", "body": body, "more_body": False})


class _Exchange:
    """One request and its answer, seen from the client's side."""

    def __init__(
        self, running: _Running, request: httpx2.Request, body: bytes, to: Deliver
    ) -> None:
        self._running = running
        gone = self._gone = asyncio.Event()
        self._pid = os.getpid()
        self.read_timeout_s: float | None = request.extensions.get("timeout", {}).get("read")
        scope = _scope(request)
        running.submit(lambda: running.answer(scope, body, gone, to))

    def check_process(self) -> None:
        """Raise an error at once where waiting would never end."""
        if self._pid != os.getpid():
            raise httpx2.ReadError("the answer belongs to the process that asked for it")

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


def _response(start: Received, stream: Any) -> httpx2.Response:
    if start is None:
        raise httpx2.RemoteProtocolError("the engine ended without an answer")
    if isinstance(start, BaseException):
        raise _failure(start) from start
    headers = [(bytes(name), bytes(value)) for name, value in start["headers"]]
    return httpx2.Response(start["status"], headers=headers, stream=stream)


def _body(message: Received) -> bytes:
    if message is None:
        raise httpx2.RemoteProtocolError("the engine ended in the middle of an answer")
    if isinstance(message, BaseException):
        raise _failure(message) from message
    body: bytes = message.get("body", b"")
    return body


def _failure(error: BaseException) -> httpx2.HTTPError:
    """Return what the client reports for an error of the application."""
    if isinstance(error, httpx2.HTTPError):
        return type(error)(str(error))
    # Its text is left out, since it may hold a part of the prompt; it is the cause of this one.
    return httpx2.LocalProtocolError(f"the application raised {type(error).__name__}")


class EmbeddedTransport(httpx2.BaseTransport):
    """httpx2's way to an embedded server, for a client that blocks.

    Args:
        name: See `embedded_settings`.
    """

    def __init__(self, name: str) -> None:
        self._server = EmbeddedServer(name)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends a request. See httpx2."""
        messages: queue.SimpleQueue[Received] = queue.SimpleQueue()
        running = self._server.start()
        exchange = _Exchange(running, request, request.read(), messages.put)

        def receive() -> Received:
            exchange.check_process()
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
    def __init__(self, receive: Callable[[], Received], exchange: _Exchange) -> None:
        self._receive = receive
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        more = True
        while more:
            message = self._receive()
            yield _body(message)
            more = isinstance(message, MutableMapping) and message.get("more_body", False)

    def close(self) -> None:
        self._exchange.leave()


class AsyncEmbeddedTransport(httpx2.AsyncBaseTransport):
    """httpx2's way to an embedded server, for a client that is awaited.

    Args:
        name: See `embedded_settings`.
    """

    def __init__(self, name: str) -> None:
        self._server = EmbeddedServer(name)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends a request. See httpx2."""
        messages: asyncio.Queue[Received] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(message: Received) -> None:
            with contextlib.suppress(RuntimeError):  # The loop has ended.
                loop.call_soon_threadsafe(messages.put_nowait, message)

        running = self._server.start()
        exchange = _Exchange(running, request, await request.aread(), deliver)

        async def receive() -> Received:
            exchange.check_process()
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
        self,
        receive: Callable[[], Coroutine[Any, Any, Received]],
        exchange: _Exchange,
    ) -> None:
        self._receive = receive
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            yield _body(message)
            more = isinstance(message, MutableMapping) and message.get("more_body", False)

    async def aclose(self) -> None:
        self._exchange.leave()
