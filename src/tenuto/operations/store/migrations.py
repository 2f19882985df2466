"""Create the tables, and bring older ones up to date."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from sqlalchemy import Connection, insert, inspect, select, text, update

from tenuto.operations.store import schema
from tenuto.operations.store.database import Database
from tenuto.operations.store.errors import SchemaError
from tenuto.operations.store.location import StoreLocation

SCHEMA: Final = "schema"
KEYS_VERSION: Final = "keys"
WRITERS: Final = "writers"
OTHER: Final = "other"
"""The name with id 1, for names beyond the most that the store keeps."""

# Any number that other programs in the same database do not use.
_LOCK: Final = 0x54454E55

Step: TypeAlias = Callable[[Connection], object]


def _create_tables(connection: Connection) -> None:
    schema.METADATA.create_all(connection, checkfirst=False)
    # Another store may not have the same version of its keys.
    first = secrets.randbelow(2**40)
    connection.execute(
        insert(schema.META),
        [
            {"name": SCHEMA, "value": 0},
            {"name": KEYS_VERSION, "value": first},
            {"name": WRITERS, "value": 0},
        ],
    )
    connection.execute(insert(schema.NAME), [{"text": OTHER}])


def _add_responses(connection: Connection) -> None:
    schema.RESPONSE.create(connection)


STEPS: Final[Sequence[Step]] = (_create_tables, _add_responses)
"""Step N makes schema N of schema N - 1. It adds: it never removes or renames, because servers of
the older version go on running. Only the first step uses `METADATA`."""


def open_store(location: StoreLocation, *, create: bool = True, busy_s: float = 5.0) -> Database:
    """Open a store, and migrate it if necessary. The arguments are those of `Database`.

    Raises:
        StoreUnavailable: The database does not work.
        SchemaError: A newer version of Tenuto made the store.
        MissingExtraError: The driver of PostgreSQL is not installed.
    """
    database = Database(location, create=create, busy_s=busy_s)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def migrate(database: Database, steps: Sequence[Step] = STEPS) -> tuple[int, int]:
    """Bring a store to the latest schema, in one transaction, under a lock.

    Returns:
        The version of the schema before, 0 for an empty database, and the version now.

    Raises:
        StoreUnavailable: The database does not work; nothing has changed.
        SchemaError: A newer version of Tenuto made the store.
    """
    with database.read() as connection:
        found = _version(connection)
    _check(found, steps)
    if found == len(steps):
        return found, found
    with database.write() as connection:
        if not database.is_sqlite:
            # Waits for another process that migrates; ends with the transaction.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = _version(connection)
        _check(found, steps)
        for step in steps[found:]:
            step(connection)
        connection.execute(
            update(schema.META).where(schema.META.c.name == SCHEMA).values(value=len(steps))
        )
    return found, len(steps)


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(schema.META.name):
        return 0
    query = select(schema.META.c.value).where(schema.META.c.name == SCHEMA)
    version: int = connection.execute(query).scalar_one()
    return version


def _check(found: int, steps: Sequence[Step]) -> None:
    if found > len(steps):
        raise SchemaError(
            f"the store has schema {found}, and this version of Tenuto reads up to {len(steps)}; "
            "use the newer version of Tenuto that made it"
        )
