"""The end of a server: signals, and the steps from the first one to the last connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
from collections.abc import Iterator

import uvicorn

from tenuto.engine.base import Engine
from tenuto.server.shutdown import Shutdown

# Connections without progress for this time are closed, after the grace time.
_LAST_EVENT_S = 3.0
# The others have this many times that time.
_MOST_ROUNDS = 5

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_log = logging.getLogger("tenuto.server")


def longest_end_s(grace_s: float) -> int:
    """Return the longest time from the end of the delay to the last connection, in seconds."""
    return math.ceil(grace_s + (_MOST_ROUNDS + 1) * _LAST_EVENT_S)


class DrainingServer(uvicorn.Server):
    """A server that stops in steps; each further signal ends the current one.

    1. For `delay_s` it serves new connections and requests, and `/ready` reports 503. SIGINT skips
       this step.
    2. For up to `grace_s` it serves running requests and accepts no connection.
    3. Remaining responses end with an error, the engine is closed, and then connections whose
       client does not read.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        engine: Engine,
        shutdown: Shutdown,
        *,
        delay_s: float,
        grace_s: float,
    ) -> None:
        super().__init__(config)
        self._engine = engine
        self._shutdown = shutdown
        self._delay_s = delay_s
        self._grace_s = grace_s
        self._step_over = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None

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
        if self._draining is None:
            delay_s = 0.0 if name is signal.SIGINT else self._delay_s
            _log.info(
                "%s: shutting down. New requests are served for %g s, then running ones, now %d, "
                "for up to %g s; a further signal ends each step",
                *(name.name, delay_s, self._shutdown.running, self._grace_s),
            )
            self._shutdown.draining = True
            self._draining = asyncio.create_task(self._drain(delay_s))
        elif self._shutdown.begun:
            self.force_exit = True
        else:
            self._step_over.set()

    async def _drain(self, delay_s: float) -> None:
        if delay_s:
            await self._step(delay_s)
        self.should_exit = True
        await self._step(self._grace_s)
        await self._shutdown.end_answers()
        closing = asyncio.create_task(self._engine.aclose())
        await self._close_connections()
        await closing

    async def _step(self, seconds: float) -> None:
        """Wait until the step's time is over, or for a signal."""
        self._step_over.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._step_over.wait(), seconds)

    async def _close_connections(self) -> None:
        """Close the connections of clients that have stopped reading, and at last all."""
        unsent: dict[object, float] = self._unsent()
        for number in range(_MOST_ROUNDS):
            await asyncio.sleep(_LAST_EVENT_S)
            now = self._unsent()
            for connection in list(self.server_state.connections):
                stalled = now[connection] >= unsent.get(connection, math.inf)
                if stalled or number == _MOST_ROUNDS - 1:
                    connection.transport.abort()
            unsent = now

    def _unsent(self) -> dict[object, float]:
        """Return the bytes that each connection has not accepted yet."""
        return {
            connection: connection.transport.get_write_buffer_size()
            for connection in self.server_state.connections
        }
