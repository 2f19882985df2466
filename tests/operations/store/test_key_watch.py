from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tenuto.operations.keys.entry import KeyEntry
from tenuto.operations.store.key_table import KeyTable
from tenuto.operations.store.key_watch import KeyWatch
from tenuto.operations.store.location import StoreLocation, parse_location
from tenuto.operations.store.migrations import open_store
from tests.operations.store.facts import wait_until
from tests.operations.store.postgresql import PostgresServer


@contextmanager
def watched(location: StoreLocation) -> Iterator[tuple[KeyWatch, list[Sequence[KeyEntry]]]]:
    seen: list[Sequence[KeyEntry]] = []
    watch = KeyWatch(location, seen.append, poll_s=0.01)
    watch.start()
    try:
        yield watch, seen
    finally:
        watch.stop()


def names(entries: Sequence[KeyEntry]) -> list[str]:
    return [entry.name for entry in entries]


def test_first_keys_and_every_change_are_reported(location: StoreLocation) -> None:
    table = KeyTable(open_store(location))
    table.create("a")
    with watched(location) as (watch, seen):
        wait_until(lambda: len(seen) == 1)
        assert names(seen[0]) == ["a"]
        table.create("b")
        wait_until(lambda: len(seen) == 2)
        assert names(seen[1]) == ["a", "b"]
        table.update("a", disabled=True)
        wait_until(lambda: len(seen) == 3)
        assert seen[2][0].disabled
        table.delete("a")
        table.delete("b")
        wait_until(lambda: seen[-1] == [])
        assert watch.trouble == ""


def test_file_that_is_gone_keeps_the_last_keys(tmp_path: Path) -> None:
    location = parse_location(f"sqlite:///{tmp_path}/store.db")
    table = KeyTable(open_store(location))
    table.create("a")
    with watched(location) as (watch, seen):
        wait_until(lambda: seen)
        (tmp_path / "store.db").rename(tmp_path / "kept.db")
        wait_until(lambda: watch.trouble)
        assert "No such file" in watch.trouble
        assert len(seen) == 1
        (tmp_path / "kept.db").rename(tmp_path / "store.db")
        table.create("b")
        wait_until(lambda: len(seen) == 2)
        assert names(seen[1]) == ["a", "b"]
        wait_until(lambda: watch.trouble == "")


def test_stopped_server_of_postgresql_keeps_the_last_keys(postgresql: PostgresServer) -> None:
    location = parse_location(postgresql.new_database())
    table = KeyTable(open_store(location))
    table.create("a")
    with watched(location) as (watch, seen):
        wait_until(lambda: seen)
        postgresql.stop()
        try:
            wait_until(lambda: watch.trouble)
        finally:
            postgresql.start()
        assert len(seen) == 1
        table.rotate("a")
        wait_until(lambda: len(seen) == 2)
        wait_until(lambda: watch.trouble == "")


def test_store_that_is_made_later_is_read_then(location: StoreLocation) -> None:
    with watched(location) as (watch, seen):
        assert not seen
        KeyTable(open_store(location)).create("a")
        wait_until(lambda: seen and names(seen[-1]) == ["a"])
        assert not watch.trouble
