from __future__ import annotations

from collections import Counter
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from tenuto.operations.store.batches import DAY_MS, write_batch
from tenuto.operations.store.database import Database
from tenuto.operations.store.location import parse_location
from tenuto.operations.store.migrations import open_store
from tenuto.operations.store.names import Names
from tenuto.operations.store.rows import Batch, ClosedRow, OpenedRow
from tenuto.operations.store.schema import LEDGER
from tenuto.operations.store.usage import UsageRow, usage
from tests.operations.store.facts import NOON, closing, opening


def whole(number: int) -> ClosedRow:
    return ClosedRow(number, opening(key=number % 3), closing(), was_open=False)


def test_batch_that_is_written_again_counts_once(database: Database) -> None:
    names = Names()
    batch = Batch([OpenedRow(9, opening())], [whole(1), whole(2)])
    with database.connect() as connection:
        write_batch(database, connection, batch, names, again=False)
        write_batch(database, connection, batch, names, again=True)
        end = ClosedRow(9, opening(), closing(), was_open=True)
        write_batch(database, connection, Batch([], [end]), names, again=False)
        write_batch(database, connection, Batch([], [end]), names, again=True)

    assert usage(database) == [
        UsageRow(("key1",), 2, 180, 60, 20, 800),
        UsageRow(("key2",), 1, 90, 30, 10, 400),
    ]


def test_two_writers_with_caches_of_their_own_share_names(database: Database) -> None:
    first, second = Names(), Names()
    with database.connect() as connection:
        for number, names in ((1, first), (2, second), (3, first), (4, second)):
            end = ClosedRow(number, opening(), closing(served_model=f"m{number // 3}"), False)
            write_batch(database, connection, Batch([], [end]), names, again=False)

    assert [(row.group, row.requests) for row in usage(database, ["model"])] == [
        (("m0",), 2),
        (("m1",), 2),
    ]


def test_amounts_beyond_a_column_are_cut(database: Database) -> None:
    end = closing(input_tokens=2**70, output_tokens=-5, cost=2**70)
    row = ClosedRow(1, opening(), end, was_open=False)
    with database.connect() as connection:
        write_batch(database, connection, Batch([], [row]), Names(), again=False)

    assert usage(database) == [UsageRow(("key1",), 1, 2**31 - 1, 30, 0, 2**53 - 1)]


def test_names_with_any_character_are_stored(database: Database) -> None:
    name = "a\0b\ud800\x1b[31m" + "c" * 300
    row = ClosedRow(1, opening(), closing(served_model=name), was_open=False)
    with database.connect() as connection:
        write_batch(database, connection, Batch([], [row]), Names(), again=False)

    ((stored,),) = [each.group for each in usage(database, ["model"])]
    assert stored is not None
    assert stored.startswith("a�b��[31mccc")
    assert len(stored) == 200


def test_models_beyond_the_bound_of_names_count_as_other(database: Database) -> None:
    def row(number: int) -> ClosedRow:
        fact = opening(model=f"junk {number}")
        return ClosedRow(number, fact, closing(served_model=""), was_open=False)

    names = Names()
    with database.connect() as connection:
        for first in range(1, 11_001, 1000):
            junk = [row(number) for number in range(first, first + 1000)]
            write_batch(database, connection, Batch([], junk), names, again=False)

    rows = usage(database, ["model"])
    assert len(rows) < 10_000
    (other,) = [each for each in rows if each.group == ("other",)]
    assert sum(each.requests for each in rows) == 11_000
    assert other.requests > 1000
    with database.connect() as connection:
        end = ClosedRow(20_000, opening(), closing(served_model="true model"), was_open=False)
        write_batch(database, connection, Batch([], [end]), names, again=False)
    assert ("true model",) in [each.group for each in usage(database, ["model"])]


@settings(max_examples=30)
@given(
    completions=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 3 * DAY_MS),
            st.integers(0, 10**6),
            st.sampled_from(["whole", "split", "running"]),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_sums_of_days_equal_the_rows_in_any_order_of_events(
    completions: list[tuple[int, int, int, str, bool]],
) -> None:
    with TemporaryDirectory() as folder:
        database = open_store(parse_location(f"sqlite:///{folder}/store.db"))
        names = Names()
        expected = Counter[tuple[str | None, str | None]]()
        with database.connect() as connection:
            for number, (key, later, tokens, way, again) in enumerate(completions, 1):
                fact = opening(key, NOON + later)
                split = way != "whole"
                opened = [OpenedRow(number, fact)] if split else []
                end = ClosedRow(number, fact, closing(output_tokens=tokens), was_open=split)
                closed = [] if way == "running" else [end]
                batches = [Batch(opened, []), Batch([], closed)]
                for batch in batches:
                    write_batch(database, connection, batch, names, again=False)
                    if again:
                        write_batch(database, connection, batch, names, again=True)
                if closed:
                    day = (NOON + later) // DAY_MS
                    expected[f"key{key}" if key else None, str(day)] += tokens
        found = usage(database, ["key", "day"])
        with database.read() as connection:
            rows = connection.execute(select(func.count()).select_from(LEDGER)).scalar_one()
        database.close()

    assert sum(row.output_tokens for row in found) == sum(expected.values())
    assert sorted(row.output_tokens for row in found) == sorted(expected.values())
    assert sum(row.requests for row in found) == rows
