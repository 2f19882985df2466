from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import Connection, text

from tenuto.operations.store.database import Database
from tenuto.operations.store.errors import SchemaError, StoreUnavailable
from tenuto.operations.store.key_table import KeyTable
from tenuto.operations.store.location import StoreLocation
from tenuto.operations.store.migrations import STEPS, Step, migrate, open_store


def add_a_column(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE tenuto_key ADD COLUMN colour TEXT"))


NEWER: tuple[Step, ...] = (*STEPS, add_a_column)


def test_empty_database_gets_the_latest_schema_once(location: StoreLocation) -> None:
    database = Database(location)

    assert migrate(database) == (0, len(STEPS))
    assert migrate(database) == (len(STEPS), len(STEPS))


def test_later_step_keeps_keys(database: Database) -> None:
    entry, _ = KeyTable(database).create("a")

    assert migrate(database, NEWER) == (len(STEPS), len(NEWER))

    with database.read() as connection:
        rows = connection.execute(text("SELECT name, colour FROM tenuto_key")).all()
    assert rows == [("a", None)]
    # A server of the older version goes on.
    assert KeyTable(database).entries() == [entry]
    KeyTable(database).create("b")


def test_newer_schema_is_refused(database: Database, location: StoreLocation) -> None:
    migrate(database, NEWER)

    with pytest.raises(SchemaError, match=r"has schema 3, .* up to 2; use the newer version"):
        open_store(location)


def test_failed_step_changes_nothing(database: Database) -> None:
    def fail(connection: Connection) -> None:
        add_a_column(connection)
        connection.execute(text("SELECT nonsense"))

    with pytest.raises(StoreUnavailable):
        migrate(database, (*STEPS, fail))

    assert migrate(database, NEWER) == (len(STEPS), len(NEWER))


PROGRAM = """
import sys
from tenuto.operations.store.key_table import KeyTable
from tenuto.operations.store.location import parse_location
from tenuto.operations.store.migrations import open_store

print("loaded", flush=True)
sys.stdin.readline()
KeyTable(open_store(parse_location(sys.argv[1]))).create(sys.argv[2])
"""


def test_two_processes_at_once_make_one_store(location: StoreLocation) -> None:
    url = location.url or f"sqlite:///{location.path}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "loaded\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0

    assert sorted(entry.name for entry in KeyTable(open_store(location)).entries()) == ["a", "b"]
