from __future__ import annotations

import hashlib
import threading

import pytest

from tenuto.operations.limits.budget import Budget, Budgets, Period
from tenuto.operations.limits.limit import KeyLimits
from tenuto.operations.store.database import Database
from tenuto.operations.store.errors import KeyNameError, StoreError, UnknownKeyError
from tenuto.operations.store.key_table import KeyTable


@pytest.fixture
def table(database: Database) -> KeyTable:
    return KeyTable(database)


def test_created_key_is_listed_with_all_its_terms(table: KeyTable) -> None:
    limits = KeyLimits(requests_per_minute=100, concurrent=2**40)
    budgets = Budgets(Budget(5_000_000, Period.MONTH), Budget(20_000_000, Period.DAY))
    entry, key = table.create(
        "research",
        owner="Ada <ada@example.org>",
        expires=1_900_000_000_000,
        models=["claude-*", "qwen"],
        limits=limits,
        budgets=budgets,
    )

    (listed,) = table.entries()
    assert listed == entry == table.show("research")
    assert listed.hash == hashlib.sha256(key.encode()).digest()
    assert (listed.name, listed.owner) == ("research", "Ada <ada@example.org>")
    assert listed.expires == 1_900_000_000_000
    assert listed.models == ("claude-*", "qwen")
    assert (listed.limits, listed.budgets) == (limits, budgets)
    assert not listed.disabled


def test_two_keys_differ_and_cannot_be_guessed(table: KeyTable) -> None:
    keys = {table.create(name)[1] for name in ("a", "b")}

    assert len(keys) == 2
    assert all(len(key) > 40 for key in keys)


def test_name_of_another_key_is_refused_and_changes_nothing(table: KeyTable) -> None:
    first, _ = table.create("same")
    version = table.version()

    with pytest.raises(KeyNameError, match="`same` exists"):
        table.create("same", owner="other")

    assert table.entries() == [first]
    assert table.version() == version


@pytest.mark.parametrize("name", ["", " ", "-a", "a b", "a\n", "ü", "a" * 65, "a/b", "a\0"])
def test_invalid_name_is_refused(table: KeyTable, name: str) -> None:
    with pytest.raises(KeyNameError, match="not a name for a key") as raised:
        table.create(name)

    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("owner", ["a" * 201, "a\nb"])
def test_invalid_owner_is_refused(table: KeyTable, owner: str) -> None:
    table.create("a")

    with pytest.raises(StoreError, match="owner must have"):
        table.create("b", owner=owner)
    with pytest.raises(StoreError, match="owner must have"):
        table.update("a", owner=owner)


def test_update_changes_the_named_attributes_only(table: KeyTable) -> None:
    before, _ = table.create("a", owner="x", models=["m"], limits=KeyLimits(concurrent=3))

    table.update("a", disabled=True, limits=KeyLimits(requests_per_minute=7))
    after = table.show("a")

    assert after.disabled
    assert after.limits == KeyLimits(requests_per_minute=7)
    assert (after.owner, after.models, after.hash) == ("x", ("m",), before.hash)


def test_rotated_key_has_the_same_entry_and_another_hash(table: KeyTable) -> None:
    before, old = table.create("a", limits=KeyLimits(concurrent=3))

    after, new = table.rotate("a")

    assert new != old
    assert after.hash == hashlib.sha256(new.encode()).digest() != before.hash
    assert (after.id, after.limits) == (before.id, before.limits)


def test_id_of_a_deleted_key_is_never_used_again(table: KeyTable) -> None:
    first, _ = table.create("a")
    table.delete("a")

    second, _ = table.create("a")

    assert table.entries() == [second]
    assert second.id != first.id


def test_unknown_name_is_refused_with_the_nearest_one(table: KeyTable) -> None:
    table.create("research")

    for change in (table.show, table.update, table.rotate, table.delete):
        with pytest.raises(UnknownKeyError, match=r"did you mean `research`\?"):
            change("reserach")
    with pytest.raises(UnknownKeyError, match="`tenuto keys list`"):
        table.show("zzz")


def test_version_differs_after_every_change(table: KeyTable) -> None:
    versions = [table.version()]
    for change in (
        lambda: table.create("a"),
        lambda: table.update("a", disabled=True),
        lambda: table.rotate("a"),
        lambda: table.delete("a"),
    ):
        change()
        versions.append(table.version())
        assert table.version() == versions[-1]

    assert len(set(versions)) == 5


def test_simultaneous_creations_keep_all_keys(table: KeyTable) -> None:
    names = [f"key{number}" for number in range(20)]
    threads = [threading.Thread(target=table.create, args=(name,)) for name in names]
    before = table.version()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(entry.name for entry in table.entries()) == sorted(names)
    assert table.version() == before + 20
