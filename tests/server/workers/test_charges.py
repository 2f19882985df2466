"""Limits and ledger rows of a server with several gateways, with a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import httpx2
import pytest

from tenuto.core.job import Piece
from tenuto.core.refusal import failed, overloaded
from tenuto.operations.keys.entry import KeyEntry
from tenuto.operations.keys.ring import hash_of
from tenuto.operations.limits.limit import KeyLimits
from tenuto.server.workers.to_coordinator import Reserve
from tenuto.server.workers.to_gateway import Trouble
from tenuto.settings import DefaultLimits, LimitSettings, ServerSettings, Settings
from tests.server.test_charges import INPUT, STREAMS
from tests.server.test_endpoint import ScriptedEngine, SilentEngine
from tests.server.workers.site import KEY, Site, running_site, until

pytestmark = pytest.mark.anyio


@STREAMS
async def test_exactly_as_many_requests_as_the_limit_pass_at_once(stream: bool) -> None:
    async with running_site(KeyLimits(requests_per_minute=100)) as site:
        responses = await asyncio.gather(*(site.post(n, stream=stream) for n in range(1000)))
        statuses = [response.status_code for response in responses]
        assert (statuses.count(200), statuses.count(429)) == (100, 900)
        assert len(site.rows.closed) == 100
        refused = next(response for response in responses if response.status_code == 429)
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["anthropic-ratelimit-requests-remaining"] == "0"

        site.now += 600_000_000
        assert [(await site.post(n, stream=stream)).status_code for n in range(2)] == [200, 429]


async def test_exactly_as_many_requests_of_an_address_without_a_key_pass() -> None:
    limits = LimitSettings(default=DefaultLimits(requests_per_minute=10))
    settings = Settings(server=ServerSettings(workers=2), limits=limits)
    async with running_site(settings=settings, keys=False) as site:
        statuses = [
            response.status_code for response in await asyncio.gather(*map(site.post, range(30)))
        ]
        assert (statuses.count(200), statuses.count(429)) == (10, 20)


async def test_server_that_lost_its_last_key_stays_closed() -> None:
    async with running_site() as site:
        site.accounts.replace_keys([])
        await asyncio.sleep(0.05)
        assert [(await site.post(n)).status_code for n in range(2)] == [401, 401]


@STREAMS
async def test_tokens_are_reserved_before_and_given_back_after_a_completion(stream: bool) -> None:
    async with running_site(KeyLimits(output_tokens_per_minute=1000)) as site:
        # Each reserves 100 and uses 3. One after another, all pass that fit with its reservation.
        statuses = [(await site.post(n, stream=stream)).status_code for n in range(302)]
        assert statuses == [200] * 301 + [429]


async def test_running_completions_hold_their_reservation_over_all_gateways() -> None:
    async with running_site(KeyLimits(output_tokens_per_minute=1000), engine=SilentEngine) as site:
        tasks = [asyncio.create_task(site.post(n)) for n in range(15)]
        await until(lambda: sum(task.done() for task in tasks) + len(site.rows.opened) == 15)
        assert len(site.rows.opened) == 10
        assert {task.result().status_code for task in tasks if task.done()} == {429}
        await cancelled(tasks)


@STREAMS
async def test_place_of_a_completion_is_free_before_its_last_byte(stream: bool) -> None:
    async with running_site(KeyLimits(concurrent=1)) as site:
        statuses = [(await site.post(n, stream=stream)).status_code for n in range(200)]
    assert statuses == [200] * 200


async def test_end_that_was_sent_before_a_refusal_counts() -> None:
    async with running_site(KeyLimits(concurrent=1)) as site:
        caller = site.accounts.find(hash_of(KEY), "")
        assert caller is not None
        charge = await site.gateways[0].accounts.admit(
            caller, "claude-2.1", [], input_tokens=1, output_tokens=1
        )
        charge.cancel()
        # The coordinator has not read it yet, because its event loop did not run since.
        assert caller.limits.running == 1
        site.accounts.reserve(caller, "claude-2.1", [], input_tokens=1, output_tokens=1).cancel()


@STREAMS
async def test_disconnected_caller_has_a_row_and_no_place(stream: bool) -> None:
    async with running_site(KeyLimits(concurrent=2), engine=SilentEngine) as site:
        tasks = [asyncio.create_task(site.post(n, stream=stream)) for n in range(5)]
        await until(lambda: sum(task.done() for task in tasks) + len(site.rows.opened) == 5)
        assert [task.result().status_code for task in tasks if task.done()] == [429] * 3
        await cancelled(tasks)
        await until(lambda: len(site.rows.closed) == 2)
        closings = list(site.rows.closed.values())
        assert [(each.outcome, each.input_tokens) for each in closings] == [("left", INPUT)] * 2
        assert running(site) == 0


async def test_disconnect_during_the_reservation_costs_nothing() -> None:
    async with running_site(KeyLimits(requests_per_minute=1, concurrent=1)) as site:
        caller = site.gateways[0].accounts.find(hash_of(KEY), "")
        assert caller is not None
        task = asyncio.create_task(
            site.gateways[0].accounts.admit(caller, "m", [], input_tokens=1, output_tokens=1)
        )
        await asyncio.sleep(0)
        task.cancel()
        await until(lambda: site.rows.discarded)
        assert (await site.post(1)).status_code == 200


@pytest.mark.parametrize(
    ("engine", "closed", "discarded"),
    [
        (lambda: ScriptedEngine(overloaded()), 0, 3),
        (lambda: ScriptedEngine(Piece(""), failed("It broke.")), 3, 0),
    ],
    ids=["refused", "failed"],
)
async def test_refused_completion_is_free_and_a_failed_one_is_charged(
    engine: Callable[[], ScriptedEngine], closed: int, discarded: int
) -> None:
    async with running_site(KeyLimits(concurrent=1), engine=engine) as site:
        for number in range(3):
            await site.post(number)
        await until(lambda: len(site.rows.closed) + len(site.rows.discarded) == 3)
        assert (len(site.rows.closed), len(site.rows.discarded)) == (closed, discarded)


async def test_charges_of_a_gateway_that_dies_end_once_as_reserved() -> None:
    async with running_site(KeyLimits(concurrent=3), engine=SilentEngine) as site:
        tasks = [asyncio.create_task(site.post(n)) for n in range(3)]
        await until(lambda: len(site.rows.opened) == 3)
        assert (await site.post(1)).status_code == 429

        site.processes[0].kill()
        await until(lambda: len(site.rows.closed) == 2)
        closings = list(site.rows.closed.values())
        assert {(each.outcome, each.output_tokens) for each in closings} == {("interrupted", 100)}
        assert running(site) == 1
        # Another one takes its place.
        await until(lambda: len(site.processes) == 3)
        await site.join(SilentEngine, site.processes[2])
        await until(lambda: len(site.coordinator.fleet.gateways) == 2)
        again = asyncio.create_task(site.post(2))
        await until(lambda: len(site.rows.opened) == 4)
        # `Rows` would fail at a second end.
        await cancelled([*tasks, again])
        await until(lambda: running(site) == 0)


async def test_gateway_that_sends_nonsense_is_replaced() -> None:
    async with running_site() as site:
        site.processes[0].sockets[0].send(b"\x00\x00\x00\x01\xff?")
        await until(lambda: len(site.processes) == 3)
        assert site.processes[0].code is not None


async def test_message_for_gateways_only_ends_its_sender() -> None:
    async with running_site() as site:
        site.gateways[0].link.send(Trouble("", ""))
        await until(lambda: site.processes[0].code is not None)
        assert (await site.post(1)).status_code == 200


async def test_changes_of_keys_reach_all_gateways() -> None:
    async with running_site() as site:
        site.accounts.replace_keys([KeyEntry(1, "alice", hash_of("sk-other"))])
        await asyncio.sleep(0.05)
        assert [(await site.post(n)).status_code for n in range(2)] == [401, 401]
        headers = {"x-api-key": "sk-other"}
        assert [(await site.post(n, headers)).status_code for n in range(2)] == [200, 200]


async def test_key_that_was_deleted_a_moment_ago_is_refused() -> None:
    async with running_site() as site:
        site.gateways[0].link.send(Reserve(7, 99, "", "m", 1, 1))
        await asyncio.sleep(0.05)
        assert not site.rows.opened


def running(site: Site) -> int:
    caller = site.accounts.find(hash_of(KEY), "")
    assert caller is not None
    return caller.limits.running


async def cancelled(tasks: Sequence[asyncio.Task[httpx2.Response]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
