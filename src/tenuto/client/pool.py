"""The HTTP client that a client and its copies share."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

HttpT = TypeVar("HttpT")


class Pool(Generic[HttpT]):
    """A lazily created HTTP client. Thread-safe.

    Creation is deferred because loading the TLS certificates takes 0.1 s. A forked process creates
    its own, because processes cannot share a connection.

    Args:
        create: Creates the HTTP client.
        http_client: The caller's HTTP client, used instead.
        dispose: Closes a created HTTP client when the last client that shares it is collected.
    """

    def __init__(
        self,
        create: Callable[[], HttpT],
        http_client: HttpT | None = None,
        dispose: Callable[[HttpT], None] | None = None,
    ) -> None:
        self.http_client = http_client
        self.closed: bool = False
        self._created: HttpT | None = None
        self._create = create
        self._dispose = dispose
        self._finalizer: Any = None
        self._lock = Lock()
        self._pid = os.getpid()

    def get(self) -> HttpT:
        """Return the HTTP client. Raises `RuntimeError` once closed."""
        self._forget_after_fork()
        with self._lock:
            if self.closed:
                raise RuntimeError("the client is closed; create a new one")
            if self.http_client is not None:
                return self.http_client
            if self._created is None:
                self._created = self._create()
                if self._dispose is not None:
                    self._finalizer = weakref.finalize(self, self._dispose, self._created)
            return self._created

    def follows_redirects(self) -> bool:
        """Return whether to follow redirects within an origin: the caller's client decides."""
        return self.http_client is None or bool(getattr(self.http_client, "follow_redirects", True))

    def close(self) -> HttpT | None:
        """Mark the pool as closed, and return the HTTP client that the caller must close."""
        self._forget_after_fork()
        with self._lock:
            self.closed = True
            return self.http_client or self._created

    def _forget_after_fork(self) -> None:
        """In a forked process, drop the parent's connections without closing them."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = Lock()
            self._created = None
            if self._finalizer is not None:
                self._finalizer.detach()
