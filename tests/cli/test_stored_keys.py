from __future__ import annotations

import hashlib
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tenuto.operations.store.key_table import KeyTable
from tenuto.operations.store.location import parse_location
from tenuto.operations.store.migrations import open_store
from tests.cli.stores import Command


@pytest.fixture
def tenuto(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return Command(capsys, tmp_path / "tenuto" / "store.db")


def test_created_key_is_printed_alone_and_stored_as_a_hash(tenuto: Command) -> None:
    key = tenuto.output("keys", "create", "research").removesuffix("\n")

    (entry,) = KeyTable(open_store(parse_location(f"sqlite:///{tenuto.file}"))).entries()
    assert entry.hash == hashlib.sha256(key.encode()).digest()
    for file in tenuto.file.parent.iterdir():
        assert key.encode() not in file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(tenuto.file.parent.stat().st_mode) == 0o700


def test_created_key_as_json_has_all_terms(tenuto: Command) -> None:
    created = tenuto.json(
        *("keys", "create", "research", "--owner", "Ada", "--expires", "90d"),
        *("--models", "claude-*,qwen", "--requests-per-minute", "100"),
        *("--input-tokens-per-minute", "20k", "--output-tokens-per-minute", "10k"),
        *("--concurrent", "3", "--budget-tokens", "5M/month"),
    )

    assert created.pop("key").startswith("sk-tenuto-")
    days = datetime.fromisoformat(created["expires"]) - datetime.now(UTC)
    assert days.days in (89, 90)
    assert created == tenuto.json("keys", "show", "research")
    assert tenuto.json("keys", "list") == [created]
    assert created["name"] == "research"
    assert created["owner"] == "Ada"
    assert created["state"] == "active"
    assert created["models"] == ["claude-*", "qwen"]
    assert created["limits"] == {
        "requests_per_minute": 100,
        "input_tokens_per_minute": 20_000,
        "output_tokens_per_minute": 10_000,
        "concurrent": 3,
    }
    assert created["budgets"] == {
        "tokens": {"amount": 5_000_000, "period": "month"},
        "cost": None,
    }


def test_list_shows_terms_and_no_key(tenuto: Command) -> None:
    key = tenuto.output("keys", "create", "a", "--requests-per-minute", "1000").strip()
    tenuto.output("keys", "create", "b")
    tenuto.output("keys", "disable", "b")

    listed = tenuto.output("keys", "list")

    title, first, second = listed.splitlines()
    assert title.split() == ["NAME", "STATE", "OWNER", "EXPIRES", "MODELS", "LIMITS"]
    assert first.split() == ["a", "active", "-", "never", "all", "1,000", "requests/min"]
    assert second.split() == ["b", "disabled", "-", "never", "all", "none"]
    assert key not in listed


def test_update_changes_and_removes_terms(tenuto: Command) -> None:
    tenuto.output(
        *("keys", "create", "a", "--concurrent", "3", "--expires", "1h", "--models", "m"),
        *("--requests-per-minute", "5", "--budget-tokens", "1M/day"),
    )

    changed = tenuto.json(
        *("keys", "update", "a", "--concurrent", "none", "--expires", "none", "--models", "none"),
        *("--owner", "Ada", "--budget-tokens", "none"),
    )

    assert changed["limits"]["concurrent"] is None
    assert changed["limits"]["requests_per_minute"] == 5
    assert changed["budgets"]["tokens"] is None
    assert (changed["expires"], changed["models"], changed["owner"]) == (None, [], "Ada")
    assert tenuto.json("keys", "show", "a") == changed


def test_disabled_key_is_enabled_again(tenuto: Command) -> None:
    tenuto.output("keys", "create", "a")

    assert tenuto.json("keys", "disable", "a")["state"] == "disabled"
    assert tenuto.json("keys", "update", "a", "--enable")["state"] == "active"


def test_rotated_key_is_another_one(tenuto: Command) -> None:
    first = tenuto.json("keys", "create", "a", "--concurrent", "3")

    second = tenuto.json("keys", "rotate", "a")

    assert second.pop("key") != first.pop("key")
    assert second == first


def test_deleted_key_is_gone(tenuto: Command) -> None:
    tenuto.output("keys", "create", "a")
    tenuto.output("keys", "delete", "a")

    assert tenuto.json("keys", "list") == []
    assert "no key has the name `a`" in tenuto.error("keys", "show", "a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "a"], "a key with the name `a` exists"),
        (["create", "b", "--expires", "90"], "--expires: `90` has no unit"),
        (["create", "b", "--expires", "90days"], "did you mean `d`?"),
        (["create", "b", "--budget-tokens", "5M/moth"], "did you mean `month`?"),
        (["create", "b", "--budget-tokens", "5X/month"], "--budget-tokens: unknown unit `X`"),
        (["create", "b", "--budget-cost", "20/day"], "needs prices; add the section [prices]"),
        (["create", "b", "--concurrent", "0"], "--concurrent: `0` must be above 0"),
        (["create", "b", "--models", "a,,b"], "--models: a model name is empty"),
        (["create", "b", "--request-per-minute", "5"], " or --requests-per-minute?"),
        (["create", "a b"], "not a name for a key"),
        (["update", "a"], "nothing to change"),
        (["update", "z", "--concurrent", "1"], "no key has the name `z`"),
        (["disable", "z"], "no key has the name `z`"),
        (["rotate", "z"], "no key has the name `z`"),
        (["delete", "aa"], "did you mean `a`?"),
    ],
)
def test_invalid_input_is_a_one_line_error_and_changes_nothing(
    tenuto: Command, arguments: list[str], message: str
) -> None:
    tenuto.output("keys", "create", "a")
    before = tenuto.json("keys", "list")

    assert message in tenuto.error("keys", *arguments)

    assert tenuto.json("keys", "list") == before


def test_unreachable_store_is_a_one_line_error(
    tenuto: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENUTO_STORE_URL", "sqlite:////dev/null/store.db")

    for command in (["keys", "list"], ["usage"], ["db", "migrate"]):
        assert "the store /dev/null/store.db does not work" in tenuto.error(*command, code=1)


def test_password_of_a_database_is_never_shown(
    tenuto: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("TENUTO_STORE_URL", "postgresql://ada:hunter2@127.0.0.1:1/db")

    shown = tenuto.error("keys", "list", code=1)

    assert "postgresql://127.0.0.1:1/db" in shown
    assert "hunter2" not in shown + tenuto.output("config")
