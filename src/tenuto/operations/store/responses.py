"""Kept responses in a store, from a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, TypeVar

from tenuto.core.extras import MissingExtraError
from tenuto.operations.idempotency.records import Claimed, KeptResponse, StoredVerdict
from tenuto.operations.idempotency.registry import Bounds
from tenuto.operations.store.errors import StoreError, StoreUnavailable
from tenuto.operations.store.location import StoreLocation

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenuto.operations.store.database import Database
    from tenuto.operations.store.response_table import ResponseTable

T = TypeVar("T")

_log: Final = logging.getLogger("tenuto.server")

LEASE_MS: Final = 30_000
"""Time after which the claim of a killed server expires, in milliseconds."""

_RENEWAL_S: Final = 10.0
_PRUNING_S: Final = 60.0
# The bounds are exceeded by this part at most.
_UNPRUNED: Final = 1 / 8
_BUSY_S: Final = 1.0
# Pause after a failure, so that requests need not wait for each next one.
_PAUSE_S: Final = 5.0
# Bytes that an order without a body counts for.
_ORDER_BYTES: Final = 1024


class Responses:
    """Claims, keeps and drops responses, in the order of the calls. Calls never block.

    The thread starts with the first call. While the database does not work, the futures have a
    `StoreError`.

    Args:
        location: The store.
        bounds: Bounds of all kept responses of all servers, and of the calls that wait.

    Attributes:
        bounds: The same.
        trouble: The reason why the store does not work, one line; "" if all is well.
    """

    def __init__(self, location: StoreLocation, bounds: Bounds) -> None:
        self.bounds: Bounds = bounds
        self.trouble: str = ""
        self._location = location
        self._owner = secrets.randbits(63)
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        # Of the thread.
        self._running: set[bytes] = set()
        self._open: tuple[Database, Connection, ResponseTable] | None = None
        self._paused_until = 0.0
        self._next_renewal = self._next_pruning = 0.0
        self._unpruned = 0
        self._is_new = True

    def open(self) -> Future[None]:
        """Open the store."""
        return self._submit(lambda _: None)

    def claim(self, place: bytes, fingerprint: bytes) -> Future[StoredVerdict]:
        """Claim a place, or return what is there. See `ResponseTable.claim`."""

        def work(table: ResponseTable) -> StoredVerdict:
            now = _now_ms()
            found = table.claim(place, fingerprint, now, now + LEASE_MS)
            if isinstance(found, Claimed):
                self._running.add(place)
            return found

        return self._submit(work)

    def keep(self, place: bytes, response: KeptResponse) -> Future[bool]:
        """End a claim with its response. Return whether the claim was still valid."""

        def work(table: ResponseTable) -> bool:
            self._running.discard(place)
            self._unpruned += response.size
            return table.keep(place, response, _now_ms() + round(self.bounds.age_s * 1000))

        return self._submit(work, response.size)

    def drop(self, place: bytes) -> Future[None]:
        """End a claim without a response."""

        def work(table: ResponseTable) -> None:
            self._running.discard(place)
            table.drop(place)

        return self._submit(work)

    def stop(self, timeout_s: float) -> None:
        """Do what waits, for a time at most, and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout_s)

    def _submit(self, work: Callable[[ResponseTable], T], size: int = 0) -> Future[T]:
        future: Future[T] = Future()
        size += _ORDER_BYTES
        with self._lock:
            if self._waiting_bytes + size > self.bounds.total_bytes:
                future.set_exception(StoreUnavailable("too much waits for the store"))
                return future
            self._waiting_bytes += size

        def run() -> None:
            with self._lock:
                self._waiting_bytes -= size
            try:
                future.set_result(self._done(work))
            except StoreError as error:
                future.set_exception(error)

        self._queue.put(run)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tenuto-responses", daemon=True)
            self._thread.start()
        return future

    def _run(self) -> None:
        while True:
            try:
                run = self._queue.get(timeout=max(self._next_renewal - time.monotonic(), 0))
            except queue.Empty:
                self._maintain()
                continue
            if run is None:
                self._close()
                return
            run()
            self._maintain()

    def _maintain(self) -> None:
        """Renew the claims of running requests, and delete old responses, when it is time."""
        now, bounds = time.monotonic(), self.bounds
        with contextlib.suppress(StoreError):
            if now >= self._next_renewal:
                self._next_renewal = now + _RENEWAL_S
                if self._running:
                    self._done(lambda table: table.renew(self._running, _now_ms() + LEASE_MS))
            if now >= self._next_pruning or self._unpruned > bounds.total_bytes * _UNPRUNED:
                self._next_pruning = now + _PRUNING_S
                self._unpruned = 0
                most = bounds.total_bytes, bounds.entries
                self._done(lambda table: table.prune(_now_ms(), *most))

    def _done(self, work: Callable[[ResponseTable], T]) -> T:
        """Do work with the table, and return its result.

        Raises:
            StoreError: The database does not work, or did not work a moment ago.
        """
        if time.monotonic() < self._paused_until:
            raise StoreUnavailable("the store did not work a moment ago")
        try:
            result = work(self._table())
        except (StoreError, MissingExtraError) as error:
            self._close()
            self._paused_until = time.monotonic() + _PAUSE_S
            if not self.trouble:
                _log.warning("%s; idempotency keys hold on this server only", error)
            self.trouble = str(error)
            raise StoreUnavailable(self.trouble) from None
        except Exception as error:
            # A bug; the thread must go on.
            _log.error("unexpected error in the store of responses", exc_info=error)
            raise StoreUnavailable("unexpected error") from None
        self.trouble = ""
        return result

    def _table(self) -> ResponseTable:
        if self._open is None:
            # Imported late because SQLAlchemy takes long.
            from tenuto.operations.store.database import Database
            from tenuto.operations.store.migrations import open_store
            from tenuto.operations.store.response_table import ResponseTable

            # Another server may create the tables at this moment, which takes longer than a
            # transaction: this waits as commands do.
            open_store(self._location, create=self._is_new).close()
            # A file that is missing later is an outage, not a reason for a new one.
            database = Database(self._location, create=False, busy_s=_BUSY_S)
            self._is_new = False
            connection = database.connect()
            self._open = database, connection, ResponseTable(database, connection, self._owner)
        return self._open[2]

    def _close(self) -> None:
        if self._open is not None:
            database, connection, _ = self._open
            self._open = None
            with contextlib.suppress(Exception):
                connection.close()
            database.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
