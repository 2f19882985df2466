"""Runs the application in uvicorn until a signal says stop."""

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

from tenuto.core.refusal import ModelError, Refusal
from tenuto.engine.base import Engine
from tenuto.server.app import create_app, recorder_of
from tenuto.server.loopback import is_loopback
from tenuto.server.protocol import bounded_protocol
from tenuto.server.shutdown import Shutdown
from tenuto.settings import ServerSettings, Settings

# What connections get to send their last event, after the grace time.
_LAST_EVENT_S = 3
_BACKLOG = 2048
# Objects that may pile up before those in cycles are looked for.
_GC_THRESHOLD = 20_000
_UNKNOWN_NAME = {getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_NODATA")}
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_log = logging.getLogger("tenuto.server")


class CannotListen(Exception):
    """The address cannot or should not be listened on. The message says why."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop that there is on this platform: uvicorn's choice."""
    # Not its own log configuration, which closes all handlers that are there.
    factory = uvicorn.Config("", log_config=None).get_loop_factory()
    return factory() if factory is not None else asyncio.new_event_loop()


def listen(settings: ServerSettings, *, insecure: bool = False) -> socket.socket:
    """A socket that listens.

    Args:
        settings: Where: an address, of IPv6 with or without brackets, or a name. `::` is every
            address of both families.
        insecure: Allow a public address without keys.

    Raises:
        CannotListen: The port is taken, the address is not this machine's, the name is unknown, or
            everyone in the network could use the server.
    """
    host = bare(settings.host)
    if not (insecure or settings.api_keys or is_loopback(host)):
        raise CannotListen(
            f"{settings.host} can be reached from other machines, and no API keys are set: add "
            "`api_keys` to [server] in tenuto.toml (`tenuto keys new` makes one), or say --insecure"
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
        # Not error.strerror: the library adds a remark about the address to it.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListen(f"{where}: {reason}") from None


def bare(host: str) -> str:
    """An address of IPv6 without the brackets that it has in URLs."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def in_brackets(host: str) -> str:
    """A host as it stands in URLs."""
    return f"[{bare(host)}]" if ":" in host else host


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """The first address of a name; of IPv4 if it has one, as clients try both families."""
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
    """Serves until SIGTERM, SIGINT or SIGHUP; running answers may end within the grace time.

    A second signal ends the grace time, a third everything.

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
        except Refusal:
            pass  # The signal to stop came first.
    loading.cancel()
    await serving
    if failure is not None:
        raise failure


def build_server(settings: Settings, engine: Engine) -> uvicorn.Server:
    """The server with its application, not started yet."""
    grace = settings.server.shutdown_grace_s
    recorder, shutdown = recorder_of(settings), Shutdown()
    config = uvicorn.Config(
        create_app(settings, engine, recorder=recorder, shutdown=shutdown),
        # Its own configuration writes to standard error on the event loop, which would wait there.
        log_config=None,
        # uvicorn warns once per malformed request; each has a line in our own log.
        log_level="error",
        access_log=False,
        server_header=False,
        http=bounded_protocol(settings, recorder),
        ws="none",
        proxy_headers=False,  # `Recorder` finds the client's address.
        # Connections are closed before that: see `_Server`.
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
        """Handles signals without raising them again at the end: to be told to stop is no error."""
        loop = asyncio.get_running_loop()
        # Under nohup SIGHUP is ignored, and stays so.
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
                "%s: stopping. %d answers are running, and may take up to %g s; a second signal "
                "ends them now",
                *(name.name, self._shutdown.running, self._grace_s),
            )
        elif not self._grace.is_set():
            self._grace.set()
        else:
            self.force_exit = True

    async def _end(self, grace_over: asyncio.Event) -> None:
        """After the grace time answers end with an error, then the engine, then connections."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(grace_over.wait(), self._grace_s)
        grace_over.set()
        await self._shutdown.end_answers()
        closing = asyncio.create_task(self._engine.aclose())
        await asyncio.sleep(_LAST_EVENT_S)
        for connection in list(self.server_state.connections):
            # A client that has stopped reading.
            connection.transport.abort()
        await closing
