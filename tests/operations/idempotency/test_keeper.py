"""Two keepers that share a store, and one whose store does not work."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from tenuto.operations.idempotency.keeper import Keeper, SharedKeeper
from tenuto.operations.idempotency.records import Claim, KeptResponse, Mismatch, Place, Running
from tenuto.operations.idempotency.registry import Bounds
from tenuto.operations.store import responses
from tenuto.operations.store.location import StoreLocation, parse_location
from tenuto.operations.store.migrations import open_store
from tenuto.operations.store.responses import Responses
from tests.operations.store.conftest import location, postgresql  # noqa: F401

pytestmark = pytest.mark.anyio

PATIENCE_S = 60.0
BOUNDS = Bounds(total_bytes=2**20, response_bytes=2**16, entries=100, age_s=3600.0)
PLACE, FINGERPRINT = Place("key 1", b"k" * 32), b"f" * 32
RESPONSE = KeptResponse(200, ((b"content-type", b"text/plain"),), b"text")


@pytest.fixture
async def keeper(location: StoreLocation) -> AsyncIterator[Callable[[], Keeper]]:  # noqa: F811
    made: list[Keeper] = []

    def make() -> Keeper:
        made.append(SharedKeeper(BOUNDS, Responses(location, BOUNDS), PATIENCE_S))
        return made[-1]

    yield make
    for each in made:
        await each.aclose()


async def claimed(keeper: Keeper, place: Place = PLACE) -> Claim:
    claim = await keeper.begin(place, FINGERPRINT)
    assert isinstance(claim, Claim)
    return claim


async def test_claim_of_one_server_is_running_for_the_other(
    keeper: Callable[[], Keeper],
) -> None:
    one, two = keeper(), keeper()
    claim = await claimed(one)

    for each in (one, two):
        verdict = await each.begin(PLACE, FINGERPRINT)
        assert isinstance(verdict, Running)
        assert 1 <= verdict.retry_after_s <= 60
        assert await each.begin(PLACE, b"other") == Mismatch()
    assert await one.keep(claim, RESPONSE)
    for each in (one, two):
        assert await each.begin(PLACE, FINGERPRINT) == RESPONSE
        assert await each.begin(PLACE, b"other") == Mismatch()


async def test_claim_of_a_running_request_is_renewed(
    keeper: Callable[[], Keeper],
    location: StoreLocation,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(responses, "_RENEWAL_S", 0.01)
    one = keeper()
    await claimed(one)
    database = open_store(location)

    def expires() -> int:
        with database.read() as connection:
            return int(connection.execute(text("SELECT expires FROM tenuto_response")).scalar_one())

    first = expires()
    async with asyncio.timeout(60):
        while expires() == first:
            await asyncio.sleep(0.01)
    database.close()


async def test_response_outlives_its_server(keeper: Callable[[], Keeper]) -> None:
    one = keeper()
    await one.keep(await claimed(one), RESPONSE)
    await one.aclose()

    assert await keeper().begin(PLACE, FINGERPRINT) == RESPONSE


async def test_dropped_claim_is_free_for_the_other_server(keeper: Callable[[], Keeper]) -> None:
    one, two = keeper(), keeper()
    one.drop(await claimed(one))
    # Orders are done in their order, so the drop before this claim has been done.
    one.drop(await claimed(one, Place("key 1", b"other")))
    await one.aclose()

    await claimed(two)


async def test_response_beyond_the_bounds_frees_its_claim(keeper: Callable[[], Keeper]) -> None:
    one, two = keeper(), keeper()
    assert not await one.keep(await claimed(one), KeptResponse(200, (), b"x" * 2**16))
    await one.aclose()

    await claimed(two)


async def test_many_claims_at_once_have_one_winner(keeper: Callable[[], Keeper]) -> None:
    keepers = [keeper() for _ in range(4)]
    verdicts = await asyncio.gather(
        *(
            each.begin(Place("key 1", bytes([number])), FINGERPRINT)
            for number in range(20)
            for each in keepers
        )
    )

    assert sum(isinstance(each, Claim) for each in verdicts) == 20
    assert sum(isinstance(each, Running) for each in verdicts) == 60


async def test_without_a_store_a_key_holds_on_this_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = parse_location(f"sqlite:///{tmp_path}")  # A folder.
    alone = SharedKeeper(BOUNDS, Responses(place, BOUNDS))
    with caplog.at_level(logging.WARNING, "tenuto"):
        claim = await claimed(alone)
        assert isinstance(await alone.begin(PLACE, FINGERPRINT), Running)
        assert await alone.keep(claim, RESPONSE)
        assert await alone.begin(PLACE, FINGERPRINT) == RESPONSE
        await alone.aclose()

    assert "does not work" in alone.trouble or "cannot" in alone.trouble
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith("; idempotency keys hold on this server only")


KILLED = """
import asyncio, os, signal, sys
from tests.operations.idempotency.test_keeper import *

async def main():
    shared = SharedKeeper(BOUNDS, Responses(parse_location(sys.argv[1]), BOUNDS), PATIENCE_S)
    await claimed(shared)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_claim_of_a_killed_server_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, url)
    assert await killed.wait() == -signal.SIGKILL
    shared = SharedKeeper(BOUNDS, Responses(parse_location(url), BOUNDS), PATIENCE_S)

    assert isinstance(await shared.begin(PLACE, FINGERPRINT), Running)
    now = responses._now_ms
    monkeypatch.setattr(responses, "_now_ms", lambda: now() + responses.LEASE_MS)
    await claimed(shared)
    await shared.aclose()
