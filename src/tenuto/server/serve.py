"""Run the application in uvicorn until a signal."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import uvicorn

from tenuto.core.refusal import ModelError, Refusal
from tenuto.engine.base import Engine
from tenuto.server.app import create_app, recorder_of
from tenuto.server.drain import DrainingServer, longest_end_s
from tenuto.server.protocol import bounded_protocol
from tenuto.server.shutdown import Shutdown
from tenuto.settings import Settings

# Allocations between two garbage collections.
_GC_THRESHOLD = 20_000


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop of uvicorn's choice, the fastest on this platform."""
    # Uvicorn's log configuration would close all present handlers.
    factory = uvicorn.Config("", log_config=None).get_loop_factory()
    return factory() if factory is not None else asyncio.new_event_loop()


async def serve(
    settings: Settings,
    engine: Engine,
    listener: socket.socket,
    on_ready: Callable[[str], None],
    services: Sequence[AbstractAsyncContextManager[object]] = (),
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, then drain: see `DrainingServer`.

    The engine is not started; the listener is from `listen`. `on_ready` is called once with the
    model's name when the model is loaded. `services` are entered before the first request and left,
    in reverse order, when all responses have ended, also after an error.

    Raises:
        ModelError: The model cannot be loaded; the server has ended.
    """
    async with AsyncExitStack() as stack:
        for service in services:
            await stack.enter_async_context(service)
        server = build_server(settings, engine)
        # The objects so far live as long as the process. Traversing them in every garbage
        # collection would cost a tenth of a short request.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        await _run(server, engine, listener, on_ready)


async def _run(
    server: uvicorn.Server,
    engine: Engine,
    listener: socket.socket,
    on_ready: Callable[[str], None],
) -> None:
    serving = asyncio.create_task(server.serve([listener]))
    loading = asyncio.create_task(engine.ready())
    await asyncio.wait((serving, loading), return_when=asyncio.FIRST_COMPLETED)
    failure: ModelError | None = None
    if loading.done():
        try:
            on_ready(loading.result())
        except ModelError as error:
            failure = error
            server.should_exit = True
        except Refusal:
            pass  # A signal ended the server before.
    loading.cancel()
    await serving
    if failure is not None:
        raise failure


def build_server(settings: Settings, engine: Engine) -> uvicorn.Server:
    """Return the server with its application, not started."""
    delay_s, grace_s = settings.server.drain_delay_s, settings.server.shutdown_grace_s
    recorder, shutdown = recorder_of(settings), Shutdown()
    config = uvicorn.Config(
        create_app(settings, engine, recorder=recorder, shutdown=shutdown),
        # Uvicorn's log configuration would block the event loop on standard error.
        log_config=None,
        # Uvicorn warns of malformed requests, which have a line in the server's own log.
        log_level="error",
        access_log=False,
        server_header=False,
        http=bounded_protocol(settings, recorder),
        ws="none",
        proxy_headers=False,  # `Recorder` finds the client's address.
        # The server closes connections before.
        timeout_graceful_shutdown=longest_end_s(grace_s),
    )
    return DrainingServer(config, engine, shutdown, delay_s=delay_s, grace_s=grace_s)
