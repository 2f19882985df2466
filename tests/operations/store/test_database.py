from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tenuto.operations.store.database import Database
from tenuto.operations.store.errors import StoreUnavailable
from tenuto.operations.store.key_table import read_version
from tenuto.operations.store.location import parse_location
from tenuto.operations.store.migrations import open_store

CREATE = """
import sys
import time
from tenuto.operations.store.key_table import KeyTable
from tenuto.operations.store.location import parse_location
from tenuto.operations.store.migrations import open_store
database = open_store(parse_location(sys.argv[1]))
KeyTable(database).create("a")
database.close()
"""


def test_opening_a_store_again_keeps_the_locks_of_its_connections(tmp_path: Path) -> None:
    """Any file that a process closes drops its locks on it. SQLite would then delete the log."""
    url = f"sqlite:///{tmp_path}/store.db"
    database = open_store(parse_location(url))
    connection = database.connect()
    with database.read(connection):
        before = read_version(connection)
    open_store(parse_location(url)).close()

    subprocess.run([sys.executable, "-c", CREATE, url], check=True)

    with database.read(connection):
        assert read_version(connection) == before + 1
    connection.close()
    database.close()


@pytest.fixture
def locked(tmp_path: Path) -> sqlite3.Connection:
    """A new file that another process is about to write, not in WAL mode yet."""
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("CREATE TABLE t (x)")
    other.execute("BEGIN IMMEDIATE")
    return other


def test_new_file_that_is_locked_is_opened_when_it_is_free(
    locked: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: locked.execute("COMMIT"))

    with Database(parse_location(f"sqlite:///{tmp_path}/store.db")).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_new_file_that_stays_locked_is_unavailable_and_not_kept_open(
    locked: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(parse_location(f"sqlite:///{tmp_path}/store.db"), busy_s=0.05)
    opened, connect = list[sqlite3.Connection](), sqlite3.connect

    def noted(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", noted)
    with pytest.raises(StoreUnavailable, match="locked"):
        database.connect()

    (left,) = opened
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        left.execute("SELECT 1")
