from __future__ import annotations

import pytest

from tenuto.operations.limits.reservation import PastRequest
from tenuto.operations.store.batches import DAY_MS, write_batch
from tenuto.operations.store.database import Database
from tenuto.operations.store.names import Names
from tenuto.operations.store.rows import Batch, ClosedRow, OpenedRow
from tenuto.operations.store.session import delete_rows
from tenuto.operations.store.usage import (
    UsageRow,
    requests_since,
    spent_since,
    usage,
)
from tests.operations.store.facts import NOON, closing, opening

HOUR = 3_600_000
MIDNIGHT = NOON - 12 * HOUR


@pytest.fixture
def filled(database: Database) -> Database:
    """Four completions over two days, and one that runs."""
    facts = [
        (opening(1, NOON - 24 * HOUR), closing(10, 1, 100, "a", "up")),
        (opening(1, NOON - 1), closing(20, 2, 200, "a", "")),
        (opening(2, NOON), closing(40, 4, 400, "b", "up")),
        (opening(0, NOON + HOUR), closing(80, 8, 800, "", "")),
    ]
    closed = [ClosedRow(number, *each, was_open=False) for number, each in enumerate(facts, 1)]
    batch = Batch([OpenedRow(9, opening(2, NOON + HOUR))], closed)
    with database.connect() as connection:
        write_batch(database, connection, batch, Names(), again=False)
    return database


def sums(database: Database, *by: str, since: int = 0) -> dict[tuple[str | None, ...], int]:
    return {row.group: row.input_tokens for row in usage(database, by, since)}


def test_usage_has_every_sum_of_each_key(filled: Database) -> None:
    assert usage(filled) == [
        UsageRow((None,), 1, 80, 30, 8, 800),
        UsageRow(("key1",), 2, 30, 60, 3, 300),
        UsageRow(("key2",), 1, 40, 30, 4, 400),
    ]


def test_usage_has_the_groups_of_each_name(filled: Database) -> None:
    # The model of the request counts where no model has answered.
    assert sums(filled, "model") == {("a",): 30, ("b",): 40, ("claude-2",): 80}
    assert sums(filled, "upstream") == {(None,): 100, ("up",): 50}
    assert sums(filled, "day") == {("2026-11-25",): 10, ("2026-11-26",): 140}
    assert sums(filled, "day", "key") == {
        ("2026-11-25", "key1"): 10,
        ("2026-11-26", None): 80,
        ("2026-11-26", "key1"): 20,
        ("2026-11-26", "key2"): 40,
    }


@pytest.mark.parametrize(
    ("since", "tokens"),
    [
        (MIDNIGHT - DAY_MS, 150),
        (MIDNIGHT - 12 * HOUR + 1, 140),
        (MIDNIGHT, 140),
        (NOON - 1, 140),
        (NOON, 120),
        (NOON + 1, 80),
        (NOON + DAY_MS, 0),
    ],
)
def test_usage_since_a_moment_is_exact(filled: Database, since: int, tokens: int) -> None:
    for by in ("key", "day", "model", "upstream"):
        assert sum(sums(filled, by, since=since).values()) == tokens


def test_deleted_rows_stay_in_the_sums_of_their_days(filled: Database) -> None:
    before = usage(filled, ["key", "day"])

    assert delete_rows(filled, NOON) == 2
    assert delete_rows(filled, NOON) == 0

    assert usage(filled, ["key", "day"]) == before
    assert sums(filled, "key", since=NOON - 2) == {("key2",): 40, (None,): 80}


def test_deletion_takes_a_few_rows_at_a_time(database: Database) -> None:
    closed = [ClosedRow(n, opening(1, NOON + n), closing(), was_open=False) for n in range(1, 1201)]
    with database.connect() as connection:
        write_batch(database, connection, Batch([], closed), Names(), again=False)

    counts = [delete_rows(database, NOON + 1101) for _ in range(4)]

    assert counts == [500, 500, 100, 0]
    assert usage(database)[0].requests == 1200


def test_spending_counts_reserved_amounts_of_open_rows(filled: Database) -> None:
    assert spent_since(filled, MIDNIGHT) == {
        0: (88, 800),
        1: (22, 200),
        2: (44 + 1100, 400 + 5000),
    }
    assert spent_since(filled, MIDNIGHT - DAY_MS)[1] == (33, 300)
    assert spent_since(filled, MIDNIGHT + DAY_MS) == {}


def test_recent_requests_are_those_since_a_moment_with_open_ones(filled: Database) -> None:
    def moment(milliseconds: int) -> int:
        return milliseconds * 1_000_000 + 999_999

    assert requests_since(filled, NOON) == {
        0: [PastRequest(moment(NOON + HOUR), 80, 8)],
        2: [PastRequest(moment(NOON), 40, 4), PastRequest(moment(NOON + HOUR), 100, 1000)],
    }
