"""The table of responses, in SQLite and PostgreSQL, with two servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, text

from tenuto.operations.idempotency.records import (
    Claimed,
    KeptResponse,
    Mismatch,
    RunningElsewhere,
)
from tenuto.operations.store.database import Database
from tenuto.operations.store.response_table import ResponseTable

NOW = 1_800_000_000_000
RESPONSE = KeptResponse(200, ((b"content-type", b"a; b=\xe9"),), bytes(range(256)))
PLACE, FINGERPRINT = b"p" * 32, b"f" * 32


@pytest.fixture
def server(database: Database) -> Iterator[Callable[[int], ResponseTable]]:
    connections: list[Connection] = []

    def table(owner: int) -> ResponseTable:
        connections.append(database.connect())
        return ResponseTable(database, connections[-1], owner)

    yield table
    for connection in connections:
        connection.close()


def test_one_of_two_servers_claims_a_place(server: Callable[[int], ResponseTable]) -> None:
    one, two = server(1), server(2)

    assert one.claim(PLACE, FINGERPRINT, NOW, NOW + 10) == Claimed()
    assert two.claim(PLACE, FINGERPRINT, NOW + 4, NOW + 10) == RunningElsewhere(4)
    assert two.claim(PLACE, b"other", NOW + 4, NOW + 10) == Mismatch()
    assert two.claim(b"another place", FINGERPRINT, NOW, NOW + 10) == Claimed()


def test_response_is_the_same_for_every_server_until_it_expires(
    server: Callable[[int], ResponseTable],
) -> None:
    one, two = server(1), server(2)
    one.claim(PLACE, FINGERPRINT, NOW, NOW + 10)

    assert one.keep(PLACE, RESPONSE, NOW + 100)
    assert two.claim(PLACE, FINGERPRINT, NOW + 99, NOW + 200) == RESPONSE
    assert two.claim(PLACE, b"other", NOW + 99, NOW + 200) == Mismatch()
    assert two.claim(PLACE, FINGERPRINT, NOW + 100, NOW + 200) == Claimed()


def test_claim_of_a_killed_server_expires_unless_renewed(
    server: Callable[[int], ResponseTable],
) -> None:
    one, two = server(1), server(2)
    one.claim(PLACE, FINGERPRINT, NOW, NOW + 10)
    one.renew([PLACE], NOW + 20)

    assert isinstance(two.claim(PLACE, FINGERPRINT, NOW + 19, NOW + 50), RunningElsewhere)
    assert two.claim(PLACE, FINGERPRINT, NOW + 20, NOW + 50) == Claimed()
    # It was not killed, only slow: the place belongs to the other one now.
    one.renew([PLACE], NOW + 900)
    one.drop(PLACE)
    assert not one.keep(PLACE, RESPONSE, NOW + 900)
    assert two.keep(PLACE, RESPONSE, NOW + 60)
    assert isinstance(one.claim(PLACE, FINGERPRINT, NOW + 59, NOW + 100), KeptResponse)


def test_dropped_claim_is_free_and_a_response_is_not_dropped(
    server: Callable[[int], ResponseTable],
) -> None:
    one, two = server(1), server(2)
    one.claim(PLACE, FINGERPRINT, NOW, NOW + 10)
    one.drop(PLACE)

    assert two.claim(PLACE, FINGERPRINT, NOW, NOW + 10) == Claimed()
    two.keep(PLACE, RESPONSE, NOW + 10)
    two.drop(PLACE)
    assert one.claim(PLACE, FINGERPRINT, NOW, NOW + 10) == RESPONSE


@pytest.mark.parametrize(
    ("most_bytes", "most_entries", "left"),
    [(10**9, 10**6, 250), (10**9, 20, 20), (RESPONSE.size * 30 + 1, 10**6, 30), (0, 0, 0)],
)
def test_pruning_deletes_the_oldest_responses_and_no_claim(
    server: Callable[[int], ResponseTable],
    database: Database,
    most_bytes: int,
    most_entries: int,
    left: int,
) -> None:
    table = server(1)
    table.claim(b"running", FINGERPRINT, NOW, NOW + 1)
    table.renew([b"running"], NOW + 1000)
    for number in range(251):
        table.claim(bytes([number]), FINGERPRINT, NOW, NOW + 10)
        table.keep(bytes([number]), RESPONSE, NOW + number)
    table.prune(NOW, most_bytes, most_entries)

    with database.read() as connection:
        rows = connection.execute(text("SELECT place FROM tenuto_response")).scalars()
        places = {bytes(row) for row in rows}
    assert places == {b"running"} | {bytes([number]) for number in range(251 - left, 251)}


def test_no_key_is_in_the_table(database: Database) -> None:
    with database.read() as connection:
        columns = connection.execute(text("SELECT * FROM tenuto_response")).keys()
    assert set(columns) == {
        *("place", "fingerprint", "owner", "claimed", "expires", "size"),
        *("status", "headers", "body"),
    }
