"""Run the application in uvicorn until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from tenuto.core.addresses import is_loopback
from tenuto.core.refusal import ModelError, Refusal
from tenuto.engine.base import Engine
from tenuto.server.app import create_app, recorder_of
from tenuto.server.protocol import bounded_protocol
from tenuto.server.shutdown import Shutdown
from tenuto.settings import ServerSettings, Settings

# Time for connections to send their last event, after the grace time.
_LAST_EVENT_S = 3
_BACKLOG = 2048
# Allocations between two garbage collections.
_GC_THRESHOLD = 20_000
_UNKNOWN_NAME = {getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_NODATA")}
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_log = logging.getLogger("tenuto.server")


class CannotListen(Exception):
    """The server cannot, or should not, listen on the address. The message gives the reason."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop of uvicorn's choice, the fastest on this platform."""
    # Uvicorn's log configuration would close all present handlers.
    factory = uvicorn.Config("", log_config=None).get_loop_factory()
    return factory() if factory is not None else asyncio.new_event_loop()


def listen(settings: ServerSettings, *, insecure: bool = False) -> socket.socket:
    """Return a listening socket. `insecure` allows a public address without keys.

    An IPv6 address may have brackets; `::` is every address of both families.

    Raises:
        CannotListen: The port is in use, the host is unknown or not an address of this machine, or
            the address is public without keys.
    """
    host = bare(settings.host)
    if not (insecure or settings.api_keys or is_loopback(host)):
        raise CannotListen(
            f"{settings.host} can be reached from other machines, and no API keys are set: add "
            "`api_keys` to [server] in tenuto.toml (`tenuto keys new` makes one), or set --insecure"
        )
    where = f"cannot listen on {in_brackets(host)}:{settings.port}"
    try:
        family, address = _resolved(host, settings.port)
        return socket.create_server(
            address,
            family=family,
            backlog=_BACKLOG,
            dualstack_ipv6=_is_any_ipv6(address[0]) and socket.has_dualstack_ipv6(),
        )
    except socket.gaierror as error:
        if error.errno in _UNKNOWN_NAME:
            raise CannotListen(f"{where}: the host name is unknown") from None
        raise CannotListen(f"{where}: {error.strerror}") from None
    except UnicodeError:
        raise CannotListen(f"{where}: this is not a host name") from None
    except OSError as error:
        # The library appends the address to error.strerror.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListen(f"{where}: {reason}") from None


def bare(host: str) -> str:
    """Return a host without the brackets of IPv6 addresses in URLs."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def in_brackets(host: str) -> str:
    """Return a host for a URL."""
    return f"[{bare(host)}]" if ":" in host else host


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Return an address of a name; IPv4 if it has one, because clients try both families."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    families = (socket.AF_INET, socket.AF_INET6)
    known = [(family, address) for family, _, _, _, address in found if family in families]
    if not known:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    return min(known, key=lambda one: one[0] != socket.AF_INET)


def _is_any_ipv6(address: str) -> bool:
    return ":" in address and ipaddress.ip_address(address.partition("%")[0]).is_unspecified


async def serve(
    settings: Settings, engine: Engine, listener: socket.socket, on_ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, then drain within the grace time.

    A second signal ends the grace time, a third aborts everything.

    The engine is not started; the listener is from `listen`. `on_ready` is called once with the
    model's name when the model is loaded.

    Raises:
        ModelError: The model cannot be loaded; the server has ended.
    """
    server = build_server(settings, engine)
    # The objects so far live as long as the process. Traversing them in every garbage collection
    # would cost a tenth of a short request.
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
        except Refusal:
            pass  # A signal ended the server before.
    loading.cancel()
    await serving
    if failure is not None:
        raise failure


def build_server(settings: Settings, engine: Engine) -> uvicorn.Server:
    """Return the server with its application, not started."""
    grace = settings.server.shutdown_grace_s
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
        # `_Server` closes connections before.
        timeout_graceful_shutdown=int(grace) + 2 * _LAST_EVENT_S,
    )
    return _Server(config, engine, shutdown, grace)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, engine: Engine, shutdown: Shutdown, grace_s: float
    ) -> None:
        super().__init__(config)
        self._engine = engine
        self._shutdown = shutdown
        self._grace_s = grace_s
        self._grace: asyncio.Event | None = None
        self._ending: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals, and do not raise them again at the end, unlike uvicorn."""
        loop = asyncio.get_running_loop()
        # Under nohup SIGHUP stays ignored.
        names = [name for name in _STOPPING if signal.getsignal(name) is not signal.SIG_IGN]
        for name in names:
            loop.add_signal_handler(name, self._stop, name)
        try:
            yield
        finally:
            for name in names:
                loop.remove_signal_handler(name)

    def _stop(self, name: signal.Signals) -> None:
        self.should_exit = True
        if self._grace is None:
            self._grace = asyncio.Event()
            self._ending = asyncio.create_task(self._end(self._grace))
            _log.info(
                "%s: shutting down. %d requests may run for up to %g s; a second signal ends them "
                "now",
                *(name.name, self._shutdown.running, self._grace_s),
            )
        elif not self._grace.is_set():
            self._grace.set()
        else:
            self.force_exit = True

    async def _end(self, grace_over: asyncio.Event) -> None:
        """End responses, then the engine, then connections, after the grace time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(grace_over.wait(), self._grace_s)
        grace_over.set()
        await self._shutdown.end_answers()
        closing = asyncio.create_task(self._engine.aclose())
        await asyncio.sleep(_LAST_EVENT_S)
        for connection in list(self.server_state.connections):
            # The client has stopped reading.
            connection.transport.abort()
        await closing
