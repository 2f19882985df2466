"""The application and its engine, started with the first request and again after a fork."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import Any

import httpx2

from tenuto.client.embedded.app_thread import CLOSED, AppThread
from tenuto.client.embedded.settings import download_quietly, embedded_settings
from tenuto.core.extras import check
from tenuto.core.refusal import ModelError
from tenuto.engine.base import Engine
from tenuto.models.errors import ModelUnavailable
from tenuto.service import open_engine


class EmbeddedServer:
    """A server in memory. A forked process starts an engine of its own.

    Args:
        name: See `embedded_settings`.

    Raises:
        ValueError: The engine does not exist, or its model is missing or damaged.
        MissingExtraError: The engine is not installed.
    """

    def __init__(self, name: str) -> None:
        self._settings = embedded_settings(name)
        # Not imported here: the application is created while the model loads.
        check("the embedded server", "local", "starlette")
        self._engine: Engine | None = self._open_engine()
        self._lock = threading.Lock()
        self._running: AppThread | None = None
        self._finalizer: Any = None
        self._closed = False
        _servers.add(self)

    def start(self) -> AppThread:
        """Return the running application; start it on the first call.

        Raises:
            httpx2.LocalProtocolError: The server was closed.
        """
        with self._lock:
            if self._closed:
                raise httpx2.LocalProtocolError(CLOSED)
            if self._running is None:
                engine, self._engine = self._engine or self._open_engine(), None
                self._running = AppThread(self._settings, engine)
                # Stops the engine of a client that is not closed, also at exit.
                self._finalizer = weakref.finalize(self, self._running.stop)
            return self._running

    def close(self) -> None:
        """Stop the engine, even while it loads, and the requests in flight."""
        with self._lock:
            self._closed = True
            running = self._running
        if running is not None:
            running.stop()

    def reset_after_fork(self) -> None:
        """In a forked process, drop the parent's application without touching it."""
        import ctypes  # Only here, because some builds of Python lack it.

        self._lock = threading.Lock()
        self._engine = None
        if self._running is not None:
            self._finalizer.detach()
            # Keep it alive for ever. Its destructors would act on the parent: they remove its
            # sockets from the epoll object that both processes share, and kill its worker.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._running))
            self._running = None

    def _open_engine(self) -> Engine:
        try:
            return open_engine(self._settings, download_quietly)
        except (ModelError, ModelUnavailable) as error:
            raise ValueError(f"engine: {error}") from None


# The server's log is for its operator; here every caller receives the errors.
for _name in ("tenuto.request", "tenuto.server"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

_servers: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


def _after_fork() -> None:
    for server in list(_servers):
        server.reset_after_fork()


os.register_at_fork(after_in_child=_after_fork)
