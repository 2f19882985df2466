from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from tenuto.cli.main import main
from tenuto.cli.usage import money
from tenuto.operations.store.batches import write_batch
from tenuto.operations.store.location import parse_location
from tenuto.operations.store.migrations import open_store
from tenuto.operations.store.names import Names
from tenuto.operations.store.rows import Batch, ClosedRow
from tests.cli.stores import Command
from tests.operations.store.facts import closing, opening

HOUR = 3_600_000


@pytest.fixture
def tenuto(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENUTO_STORE_URL", f"sqlite:///{tmp_path}/store.db")
    return Command(capsys, tmp_path / "store.db")


@pytest.fixture
def filled(tenuto: Command) -> Command:
    now = time.time_ns() // 1_000_000
    facts = [
        (opening(1, now - 1000), closing(1000, 10, 1_500_000, "a")),
        (opening(2, now - 1000), closing(200, 20, 0, "b")),
        (opening(0, now - 100 * HOUR), closing(3, 30, 1, "b")),
    ]
    rows = [ClosedRow(number, *each, was_open=False) for number, each in enumerate(facts, 1)]
    database = open_store(parse_location(f"sqlite:///{tenuto.file}"))
    with database.connect() as connection:
        write_batch(database, connection, Batch([], rows), Names(), again=False)
    return tenuto


def test_usage_as_json_has_whole_numbers(filled: Command) -> None:
    assert filled.json("usage") == {
        "rows": [
            {
                "key": None,
                "requests": 1,
                "input_tokens": 3,
                "cached_tokens": 30,
                "output_tokens": 30,
                "cost": 1,
            },
            {
                "key": "key1",
                "requests": 1,
                "input_tokens": 1000,
                "cached_tokens": 30,
                "output_tokens": 10,
                "cost": 1_500_000,
            },
            {
                "key": "key2",
                "requests": 1,
                "input_tokens": 200,
                "cached_tokens": 30,
                "output_tokens": 20,
                "cost": 0,
            },
        ]
    }


def test_groups_are_the_first_fields_in_their_order(filled: Command) -> None:
    rows = filled.json("usage", "--by", "model,key")["rows"]

    assert [list(row)[:3] for row in rows] == [["model", "key", "requests"]] * 3
    assert [(row["model"], row["key"]) for row in rows] == [
        ("a", "key1"),
        ("b", None),
        ("b", "key2"),
    ]


def test_since_leaves_older_requests_out(filled: Command) -> None:
    rows = filled.json("usage", "--since", "99h")["rows"]

    assert [row["key"] for row in rows] == ["key1", "key2"]
    assert len(filled.json("usage", "--since", "7d")["rows"]) == 3


def test_table_has_titles_separators_and_a_total(filled: Command) -> None:
    lines = filled.output("usage").splitlines()

    assert lines[0].split() == ["KEY", "REQUESTS", "INPUT", "CACHED", "OUTPUT", "COST"]
    assert lines[1].split() == ["-", "1", "3", "30", "30", "0.000001"]
    assert lines[2].split() == ["key1", "1", "1,000", "30", "10", "1.50"]
    assert lines[4].split() == ["total", "3", "1,203", "90", "60", "1.500001"]


def test_csv_has_the_numbers_of_json(filled: Command) -> None:
    rows = list(csv.DictReader(filled.output("usage", "--by", "day,key", "--csv").splitlines()))

    listed = filled.json("usage", "--by", "day,key")["rows"]
    assert rows == [
        {name: "" if part is None else str(part) for name, part in row.items()} for row in listed
    ]


def test_usage_without_completions_is_empty(
    tenuto: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tenuto.json("usage") == {"rows": []}
    assert main(["usage"]) == 0
    assert capsys.readouterr() == ("", "No completions are recorded.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "modle"], "unknown group 'modle'; did you mean model?"),
        (["--by", "xyz"], "write one of: key, model, day, upstream"),
        (["--by", "key,"], "unknown group ''"),
        (["--since", "7"], "--since: `7` has no unit"),
        (["--since", "7w"], "--since: unknown unit `w`"),
        (["--csv", "--json"], "--csv or --json, not both"),
    ],
)
def test_invalid_option_is_a_one_line_error(
    tenuto: Command, arguments: list[str], message: str
) -> None:
    assert message in tenuto.error("usage", *arguments)
    assert not tenuto.file.exists()


def test_store_of_a_newer_version_is_refused(tenuto: Command) -> None:
    with open_store(parse_location(f"sqlite:///{tenuto.file}")).write() as connection:
        connection.exec_driver_sql("UPDATE tenuto_meta SET value = 99 WHERE name = 'schema'")

    for command in (["usage"], ["keys", "list"], ["db", "migrate"]):
        assert "the store has schema 99" in tenuto.error(*command)


@pytest.mark.parametrize(
    ("micro_units", "text"),
    [(0, "0.00"), (1, "0.000001"), (1_500_000, "1.50"), (1_234_567_890_000, "1,234,567.89")],
)
def test_money_has_two_to_six_decimal_places(micro_units: int, text: str) -> None:
    assert money(micro_units) == text
