"""The application and its engine on an event loop in a thread of its own.

A blocking client therefore works where a loop already runs, as in Jupyter, and an asynchronous
client from one loop after another. Requests and responses cross as ASGI messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Callable, Collection, Coroutine, MutableMapping
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import httpx2

from tenuto.core.refusal import ModelError, failed
from tenuto.engine.base import Engine
from tenuto.settings import Settings
from tenuto.wire.errors import error_body

Message: TypeAlias = MutableMapping[str, Any]
Received: TypeAlias = Message | BaseException | None
"""A message of the application; None at its end, or the exception that it raised."""

Deliver: TypeAlias = Callable[[Received], None]
Send: TypeAlias = Callable[[Message], Coroutine[Any, Any, None]]

# After this time the engine is left to the end of the process.
_STOP_TIMEOUT_S = 10.0

CLOSED = "the engine was closed with its client"


class AppThread:
    """A thread with an event loop that runs the application.

    The first request starts `engine`.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._exits = AsyncExitStack()
        self._lock = threading.Lock()
        self._stopping = False
        self._shutdown_task: asyncio.Task[None] | None = None
        self._startup_task: asyncio.Task[Any] | None = None
        self._requests: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="tenuto-engine", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine function on the loop.

        Raises:
            httpx2.LocalProtocolError: The engine was closed, perhaps concurrently.
        """
        with self._lock:
            if self._stopping or self._pid != os.getpid():
                raise httpx2.LocalProtocolError(CLOSED)
            self._loop.call_soon_threadsafe(self._begin, work)

    def call(self, function: Callable[[], object]) -> None:
        """Call a function on the loop, unless the loop has ended."""
        if self._pid == os.getpid():
            with contextlib.suppress(RuntimeError):  # The loop has ended.
                self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        """Stop the application, the engine, the loop and the thread.

        The garbage collector may call this on any thread, including the loop's own, which cannot
        wait for itself.
        """
        if self._pid != os.getpid():
            return
        on_loop = threading.current_thread() is self._thread
        # A collection on the loop's own thread may interrupt a holder of the lock.
        if self._lock.acquire(blocking=not on_loop):
            stopping, self._stopping = self._stopping, True
            self._lock.release()
        else:
            stopping, self._stopping = False, True
        if not stopping:
            self.call(self._begin_shutdown)
        if not on_loop:
            self._thread.join(_STOP_TIMEOUT_S)

    async def respond(
        self, scope: Message, body: bytes, disconnected: asyncio.Event, deliver: Deliver
    ) -> None:
        """Run the application on a request, and `deliver` the messages of the response.

        `disconnected` is set when the client no longer reads it.
        """
        requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if requests:
                return requests.pop()
            await disconnected.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if not disconnected.is_set():
                deliver(message)

        end: BaseException | None = None
        try:
            app = await self._application()
            await app(scope, receive, send)
        except ModelError as error:
            await _send_failure(str(error), send)
        except asyncio.CancelledError:
            end = httpx2.LocalProtocolError(CLOSED)
        except Exception as error:
            end = error
        finally:
            deliver(end)

    async def _application(self) -> Any:
        """Return the application once the engine is ready."""
        if self._startup_task is None:
            self._startup_task = asyncio.create_task(self._start())
        # `wait` shields the startup: one cancelled request must not cancel it for the others.
        await asyncio.wait([self._startup_task])
        return self._startup_task.result()

    async def _start(self) -> Any:
        # Imported late, while the model loads.
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

    def _begin_shutdown(self) -> None:
        self._shutdown_task = self._loop.create_task(self._shut_down())
        self._shutdown_task.add_done_callback(lambda _: self._loop.stop())

    async def _shut_down(self) -> None:
        # Requests end first, so that they report a closed client and not a failed engine.
        await _cancel(self._requests)
        if self._startup_task is not None:
            await _cancel([self._startup_task])
        with contextlib.suppress(Exception):
            await self._exits.aclose()
        await _cancel(asyncio.all_tasks() - {asyncio.current_task()})
        await self._loop.shutdown_asyncgens()
        with contextlib.suppress(RuntimeError):  # The interpreter is exiting: no new thread.
            await self._loop.shutdown_default_executor()


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel some tasks, and wait for their end."""
    for task in (tasks := list(tasks)):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _send_failure(reason: str, send: Send) -> None:
    """Send a response that is not retried, because the application could not be started."""
    headers = [(b"content-type", b"application/json"), (b"x-should-retry", b"false")]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    body = json.dumps(error_body(failed(reason))).encode()
    await send({"type": "http.response.body", "body": body, "more_body": False})
