"""Stores of tests, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.operations.store.database import Database
from tenuto.operations.store.location import StoreLocation, parse_location
from tenuto.operations.store.migrations import open_store
from tests.operations.store.postgresql import PostgresServer, programs, running_postgresql


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """One server for all tests, which each take a database of their own."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed; `apt-get install postgresql` installs it")
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    with running_postgresql(folder) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> StoreLocation:
    """An empty store, once in SQLite and once in PostgreSQL."""
    if request.param == "sqlite":
        return parse_location(f"sqlite:///{tmp_path}/store.db")
    server: PostgresServer = request.getfixturevalue("postgresql")
    return parse_location(server.new_database())


@pytest.fixture
def database(location: StoreLocation) -> Iterator[Database]:
    """The store of `location`, with its tables."""
    opened = open_store(location)
    yield opened
    opened.close()
