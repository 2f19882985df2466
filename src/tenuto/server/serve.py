"""Runs the application in uvicorn until a signal says stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from tenuto.engine.base import Engine, EngineError, ModelError
from tenuto.server.app import create_app, is_loopback
from tenuto.server.protocol import bounded_protocol
from tenuto.settings import ServerSettings, Settings

# What connections get to send their last event, after the engine has been closed under them.
_LAST_EVENT_S = 3
_BACKLOG = 2048
# Objects that may pile up before those in cycles are looked for.
_GC_THRESHOLD = 20_000


class CannotListen(Exception):
    """The address cannot or should not be listened on. The message says why."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop that there is on this platform: uvicorn's choice."""
    factory = uvicorn.Config("").get_loop_factory()
    return factory() if factory is not None else asyncio.new_event_loop()


def listen(settings: ServerSettings, *, insecure: bool = False) -> socket.socket:
    """A socket that listens.

    Args:
        settings: Where.
        insecure: Allow a public address without keys.

    Raises:
        CannotListen: The port is taken, the address is not this machine's, or everyone in the
            network could use the server.
    """
    if not (insecure or settings.api_keys or is_loopback(settings.host)):
        raise CannotListen(
            f"{settings.host} can be reached from other machines, and no API keys are set: add "
            "`api_keys` to [server] in tenuto.toml (`tenuto keys new` makes one), or say --insecure"
        )
    try:
        return socket.create_server(
            (settings.host, settings.port),
            family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET,
            backlog=_BACKLOG,
        )
    except OSError as error:
        # Not error.strerror: the library adds a remark about the address to it.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListen(f"cannot listen on {settings.host}:{settings.port}: {reason}") from None


async def serve(
    settings: Settings, engine: Engine, listener: socket.socket, on_ready: Callable[[str], None]
) -> None:
    """Serves until SIGTERM or SIGINT; running answers may end within the grace time.

    Args:
        settings: All settings.
        engine: Who answers, not started yet.
        listener: From `listen`.
        on_ready: Called once with the model's name, when it is loaded.

    Raises:
        ModelError: The model cannot be loaded; the server has ended.
    """
    server = build_server(settings, engine)
    # What is there by now stays. Looking through it again and again for garbage would cost a tenth
    # of a short request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
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
        except EngineError:
            pass  # The signal to stop came first.
    loading.cancel()
    await serving
    if failure is not None:
        raise failure


def build_server(settings: Settings, engine: Engine) -> uvicorn.Server:
    """The server with its application, not started yet."""
    grace = settings.server.shutdown_grace_s
    config = uvicorn.Config(
        create_app(settings, engine),
        # Its warnings are about single requests: whoever sends garbage must not fill the log.
        log_level="error",
        access_log=False,
        server_header=False,
        http=bounded_protocol(settings.limits),
        ws="none",
        proxy_headers=False,  # Nothing here depends on the client's address.
        timeout_graceful_shutdown=int(grace) + _LAST_EVENT_S,
    )
    return _Server(config, engine, grace)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, engine: Engine, grace_s: float) -> None:
        super().__init__(config)
        self._engine = engine
        self._grace_s = grace_s
        self._closing: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles signals without raising them again at the end: to be told to stop is no error."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, self._stop, name)
        try:
            yield
        finally:
            for name in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(name)

    def _stop(self, name: signal.Signals) -> None:
        self.handle_exit(name, None)
        if self._closing is None:
            self._closing = asyncio.create_task(self._close_engine())

    async def _close_engine(self) -> None:
        """After the grace time the engine ends, and every running stream with an error event."""
        await asyncio.sleep(self._grace_s)
        await self._engine.aclose()
