"""Open a store: an engine of SQLAlchemy, with transactions whose errors are one line."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from tenuto.core.extras import needs
from tenuto.operations.store.errors import StoreUnavailable, reason_of
from tenuto.operations.store.location import StoreLocation

_OLDEST_SQLITE: Final = (3, 35)
_READ: Final = "tenuto_read"
_TIMEOUT_S: Final = 15
_BUSY_PAUSE_S: Final = 0.01


class Database:
    """One store. Connections are made when needed, and are not shared by threads.

    Args:
        location: The place.
        create: Create a missing file of SQLite, and its folder. Without it, a file that was
            deleted under a running server stays an outage, because a new one would have no keys.
        busy_s: Longest wait for a lock of SQLite, in seconds.

    Raises:
        StoreUnavailable: The file cannot be created.
        MissingExtraError: The driver of PostgreSQL is not installed.
    """

    def __init__(
        self, location: StoreLocation, *, create: bool = True, busy_s: float = 5.0
    ) -> None:
        self.location: StoreLocation = location
        self.is_sqlite: bool = location.path is not None
        if location.path is None:
            self.engine = _postgresql(location.url)
        else:
            if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
                raise StoreUnavailable(
                    f"the store needs SQLite 3.35 or newer; Python has {sqlite3.sqlite_version}"
                )
            if create:
                self._create_file()
            self.engine = _sqlite(location, busy_s)

    engine: Engine

    @contextmanager
    def read(self, connection: Connection | None = None) -> Iterator[Connection]:
        """Yield a connection in a transaction that reads.

        Args:
            connection: A connection of `connect`; None for a new one.

        Raises:
            StoreUnavailable: The database does not work.
        """
        with self._transaction(connection, read=True) as used:
            yield used

    @contextmanager
    def write(self, connection: Connection | None = None) -> Iterator[Connection]:
        """Yield a connection in a transaction that writes, committed at the end of the block.

        In SQLite it is the only one. The arguments and errors are those of `read`.
        """
        with self._transaction(connection, read=False) as used:
            yield used

    def connect(self) -> Connection:
        """Return a new connection, for transactions of one thread.

        Raises:
            StoreUnavailable: The database does not work.
        """
        with self.explained():
            return self.engine.connect()

    def file_id(self) -> tuple[int, int] | None:
        """Return device and inode of the file; None for PostgreSQL.

        SQLite goes on writing into a file that was deleted or replaced.

        Raises:
            StoreUnavailable: The file does not exist.
        """
        if self.location.path is None:
            return None
        with self.explained():
            found = self.location.path.stat()
        return found.st_dev, found.st_ino

    def close(self) -> None:
        """Close all connections that are not in use."""
        self.engine.dispose()

    @contextmanager
    def _transaction(self, connection: Connection | None, *, read: bool) -> Iterator[Connection]:
        with self.explained():
            used = connection or self.engine.connect()
            try:
                used.execution_options(**{_READ: read})
                with used.begin():
                    yield used
            finally:
                if connection is None:
                    used.close()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Make the errors in the block `StoreUnavailable`, with one line."""
        try:
            yield
        except DBAPIError as error:
            # The error itself has the statement and its values.
            reason = reason_of(error.orig or error)
        except sqlite3.Error as error:
            # Of a statement that SQLAlchemy did not execute: see `bulk.py`.
            reason = reason_of(error)
        except SQLAlchemyError as error:
            reason = type(error).__name__
        except OSError as error:
            reason = error.strerror or type(error).__name__
        else:
            return
        raise StoreUnavailable(f"the store {self.location} does not work: {reason}") from None

    def _create_file(self) -> None:
        path = self.location.path
        assert path is not None
        with self.explained():
            if not path.parent.exists():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its other files the mode of this one. A file that exists must not be
            # opened here: closing it would drop the locks of all connections of this process.
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _sqlite(location: StoreLocation, busy_s: float) -> Engine:
    uri = f"file:{quote(str(location))}?mode=rw"

    def open_file() -> sqlite3.Connection:
        # Transactions begin below: the module itself would begin them late, without a lock.
        connection = sqlite3.connect(
            uri, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False
        )
        try:
            _begin_wal(connection, busy_s)
            # A killed process loses nothing; a power failure loses the last commits at most.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA journal_size_limit = 16777216")
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=open_file, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read = connection.get_execution_options().get(_READ, False)
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("BEGIN" if read else "BEGIN IMMEDIATE")

    return engine


def _begin_wal(connection: sqlite3.Connection, busy_s: float) -> None:
    """Set the mode of the journal.

    SQLite does not always wait for another process that sets it in a new file at the same time.
    """
    deadline = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_BUSY_PAUSE_S)
        else:
            return


def _postgresql(url: str) -> Engine:
    with needs("postgres", "PostgreSQL"):
        engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            poolclass=NullPool,
            # Positions instead of names, as in SQLite: see `batches.py`.
            paramstyle="format",
            connect_args={
                "connect_timeout": _TIMEOUT_S,
                "application_name": "tenuto",
                # A database without an encoding, as one of locale C, would return bytes.
                "client_encoding": "utf8",
                # A server that vanishes without a word.
                "tcp_user_timeout": _TIMEOUT_S * 1000,
            },
        )

    @event.listens_for(engine, "connect")
    def limit_waits(connection: Any, _record: Any) -> None:
        connection.execute(f"SET statement_timeout = '{_TIMEOUT_S}s'")
        connection.commit()

    return engine
