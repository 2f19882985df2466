"""A pool of scripted nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from tenuto.core.job import Finish, Job, Sampling, Usage
from tenuto.core.refusal import Kind, Refusal
from tenuto.engine.upstream.errors import UpstreamError
from tenuto.engine.upstream.fleet.engine import PoolEngine
from tenuto.engine.upstream.fleet.node import Node as PoolNode
from tenuto.engine.upstream.fleet.settings import PoolUpstream
from tenuto.prompt.turns import human_turn, parse_prompt
from tests.engine.upstream.scripted import (
    HANG,
    RESET,
    Received,
    Script,
    ScriptedServer,
    event,
    scripted_server,
    stream,
    whole,
)

pytestmark = pytest.mark.anyio

PROMPT = parse_prompt(human_turn("Count."))
TEXT = " one two three four five six seven eight nine ten"
JOB = Job(PROMPT, 100, Sampling(temperature=0.0))


class Node:
    """A node that writes `TEXT`, in events of three characters.

    Attributes:
        fails_after: Events until it fails; None for never.
        failure: How it fails.
        ready: Whether it is.
        jobs: Requests that it got.
        model: The model that it names.
        counts: Whether it counts tokens.
        counted: How often it counted those of a prompt.
    """

    def __init__(self) -> None:
        self.server: ScriptedServer | None = None
        self.fails_after: int | None = None
        self.failure = RESET
        self.refusal: Script | None = None
        self.ready = True
        self.boot = "a.0"
        self.jobs: list[Received] = []
        self.model = "claude-2.1"
        self.counts = False
        self.counted = 0

    def __call__(self, request: Received) -> Script:
        if request.path == "/ready":
            if self.failure == HANG and self.fails_after is not None and self.jobs:
                return [HANG]
            return whole({}, 200 if self.ready else 503, tenuto_load=self.load())
        self.jobs.append(request)
        if self.refusal is not None:
            return self.refusal
        written = request.body["prompt"].rpartition("\n\nAssistant:")[2]
        rest = TEXT[len(written) :]
        self.counted += request.path.endswith("/count_tokens")
        if request.path.endswith("/count_tokens"):
            return whole({"input_tokens": 20})
        parts: list[bytes | str] = [
            event("completion", completion=rest[at : at + 3], stop_reason=None, model=self.model)
            for at in range(0, len(rest), 3)
        ]
        before = 20 + len(written)
        if self.counts:
            # Each character is a token.
            parts = [
                event(
                    "completion",
                    completion=rest[at : at + 3],
                    stop_reason=None,
                    model=self.model,
                    usage={"input_tokens": before, "output_tokens": len(rest[: at + 3])},
                )
                for at in range(0, len(rest), 3)
            ]
        if self.fails_after is not None:
            return stream(*parts[: self.fails_after], self.failure, end=False)
        last: dict[str, object] = {
            "model": self.model,
            "completion": "",
            "stop_reason": "stop_sequence",
            "stop": "\n\nHuman:",
        }
        if self.counts:
            last |= {"usage": {"input_tokens": before, "output_tokens": len(rest)}}
        return stream(*parts, event("completion", **last))

    def load(self) -> str:
        return f"running=0, waiting=0, kv=0, boot={self.boot}"


N = TypeVar("N", bound=Node)


@asynccontextmanager
async def serving(nodes: list[N]) -> AsyncIterator[list[N]]:
    async with AsyncExitStack() as stack:
        for node in nodes:
            node.server = await stack.enter_async_context(scripted_server())
            node.server.answers(node)
        yield nodes


@pytest.fixture
async def nodes() -> AsyncIterator[list[Node]]:
    async with serving([Node(), Node(), Node()]) as nodes:
        yield nodes


@asynccontextmanager
async def pool_of(nodes: Sequence[Node], **settings: object) -> AsyncIterator[PoolEngine]:
    urls = tuple(node.server.url for node in nodes if node.server is not None)
    chosen: Any = {"hang_s": 0.4, "explains": True, **settings}
    pool = PoolEngine("fleet", PoolUpstream(nodes=urls, **chosen))
    await pool.start()
    try:
        yield pool
    finally:
        await pool.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def known(pool: PoolEngine) -> None:
    """Wait until all nodes of a pool were polled."""
    await until(lambda: all(node.state.name != "UNKNOWN" for node in pool._nodes.values()))


async def text_of(pool: PoolEngine, job: Job = JOB) -> tuple[str, Finish | None]:
    async with aclosing(pool.generate(job)) as written:
        pieces = [piece async for piece in written]
    assert sum(piece.accepted is not None for piece in pieces) == 1
    return "".join(piece.text for piece in pieces), pieces[-1].finish


async def refused_by(pool: PoolEngine, job: Job = JOB) -> Refusal:
    with pytest.raises(Refusal) as raised:
        await text_of(pool, job)
    return raised.value


@pytest.mark.parametrize("events", range(1, 17))
async def test_completion_goes_on_at_another_node_after_any_event(
    nodes: list[Node], events: int
) -> None:
    for node in nodes[:2]:
        node.fails_after = events
    async with pool_of(nodes, resume=2) as pool:
        text, finish = await text_of(pool)
    assert text == TEXT
    assert finish is Finish.END


async def test_completion_of_a_node_that_hangs_goes_on_at_another_one(nodes: list[Node]) -> None:
    for node in nodes[:2]:
        node.fails_after, node.failure = 4, HANG
    async with pool_of(nodes, resume=2) as pool:
        await known(pool)
        text, _ = await text_of(pool)
        assert text == TEXT
        await until(lambda: pool.health().detail == "Sends requests to 1 of 3 nodes.")


async def test_completion_waits_for_a_node_that_is_full_to_go_on(nodes: list[Node]) -> None:
    full = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    node, other = nodes[:2]
    node.fails_after, other.refusal = 4, whole(full, 529, retry_after="30")
    async with pool_of([node, other]) as pool:
        await known(pool)
        writing = asyncio.create_task(text_of(pool))
        await until(lambda: bool(node.jobs))
        node.refusal = whole(full, 529)
        # Both have refused the rest.
        await until(lambda: len(node.jobs) > 1 and len(other.jobs) > 1)
        assert not writing.done()
        other.refusal = None
        assert await writing == (TEXT, Finish.END)


async def test_full_node_counts_more_than_a_failed_one(nodes: list[Node]) -> None:
    full = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    for number in range(3):
        for node in nodes:
            node.refusal = [RESET]
        nodes[number].refusal = whole(full, 529, retry_after="4")
        async with pool_of(nodes) as pool:
            await known(pool)
            refusal = await refused_by(pool)
        assert (refusal.kind, refusal.retry_after) == (Kind.OVERLOADED, 4)


async def test_node_that_was_full_gets_jobs_again_at_once(nodes: list[Node]) -> None:
    full = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    nodes[0].refusal = whole(full, 529)
    async with pool_of(nodes[:1], breaker_failures=2) as pool:
        await known(pool)
        for _ in range(5):
            assert (await refused_by(pool)).kind is Kind.OVERLOADED
        nodes[0].refusal = None
        assert (await text_of(pool))[0] == TEXT


@pytest.mark.parametrize("events", [0, 1, 4, 9])
async def test_usage_of_a_resumed_completion_is_that_of_an_undisturbed_one(
    nodes: list[Node], events: int
) -> None:
    for node in nodes:
        node.counts = True
    nodes[0].fails_after = nodes[1].fails_after = events
    async with pool_of(nodes, resume=2) as pool, aclosing(pool.generate(JOB)) as written:
        pieces = [piece async for piece in written]
    assert pieces[-1].usage == Usage(20, None, len(TEXT))


async def test_completion_with_all_its_tokens_written_ends_without_another_node(
    nodes: list[Node],
) -> None:
    for node in nodes:
        node.counts, node.fails_after = True, 4
    async with pool_of(nodes, resume=2) as pool:
        text, finish = await text_of(pool, replace(JOB, max_tokens=12))
    assert (text, finish) == (TEXT[:12], Finish.LENGTH)
    assert sum(len(node.jobs) for node in nodes) == 1


async def test_tokens_of_a_prompt_are_counted_by_a_node_that_can(nodes: list[Node]) -> None:
    async with pool_of(nodes) as pool:
        await known(pool)
        assert await pool.count_tokens(JOB) == 20
        assert sum(node.counted for node in nodes) == 1
        [counter] = [node for node in nodes if node.counted]
        counter.ready = False
        counter.refusal = whole({}, 500)
        assert await pool.count_tokens(JOB) == 20
        for node in nodes:
            node.refusal = whole({"error": {"type": "not_found_error", "message": "no"}}, 404)
        with pytest.raises(Refusal) as raised:
            await pool.count_tokens(JOB)
        assert raised.value.kind is Kind.UNSUPPORTED


async def test_tokens_are_not_counted_by_servers_of_openais_api(nodes: list[Node]) -> None:
    async with pool_of(nodes, node_kind="openai") as pool:
        with pytest.raises(Refusal, match=r"Request one with `max_tokens` 1") as raised:
            await pool.count_tokens(JOB)
    assert raised.value.kind is Kind.UNSUPPORTED
    assert not any(node.counted or node.jobs for node in nodes)


async def test_without_resume_the_error_of_the_node_is_raised(nodes: list[Node]) -> None:
    for node in nodes:
        node.fails_after = 3
    async with pool_of(nodes, resume=0) as pool:
        assert (await refused_by(pool)).kind is Kind.FAILED
    assert sum(len(node.jobs) for node in nodes) == 1


async def test_completion_is_not_continued_by_another_model(nodes: list[Node]) -> None:
    for number, node in enumerate(nodes):
        node.fails_after, node.model = 3, f"model-{number}"
    async with pool_of(nodes, resume=2) as pool:
        assert (await refused_by(pool)).kind is Kind.FAILED


async def test_failure_before_the_first_text_is_not_seen(nodes: list[Node]) -> None:
    for node in nodes[:2]:
        node.refusal = [RESET]
    async with pool_of(nodes, resume=0) as pool:
        assert (await text_of(pool))[0] == TEXT


async def test_full_nodes_are_skipped_and_the_shortest_wait_is_reported(nodes: list[Node]) -> None:
    full = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    for node, wait in zip(nodes, (7, 3, 9), strict=True):
        node.refusal = whole(full, 529, retry_after=str(wait))
    async with pool_of(nodes) as pool:
        refusal = await refused_by(pool)
        assert (refusal.kind, refusal.retry_after) == (Kind.OVERLOADED, 3)
        nodes[2].refusal = None
        assert (await text_of(pool))[0] == TEXT


async def test_request_that_no_node_would_accept_is_tried_once(nodes: list[Node]) -> None:
    wrong = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    for node in nodes:
        node.refusal = whole(wrong, 400)
    async with pool_of(nodes) as pool:
        assert (await refused_by(pool)).kind is Kind.INVALID
    assert sum(len(node.jobs) for node in nodes) == 1


async def test_node_that_drains_gets_no_jobs(nodes: list[Node]) -> None:
    nodes[0].ready = nodes[1].ready = False
    async with pool_of(nodes) as pool:
        await known(pool)
        for _ in range(6):
            await text_of(pool)
    assert [len(node.jobs) for node in nodes] == [0, 0, 6]


async def test_repeated_prompts_stay_at_one_node_until_its_process_is_new(
    nodes: list[Node],
) -> None:
    prompt = parse_prompt(human_turn("Count. " * 200))
    job = Job(prompt, 100, Sampling(temperature=0.0))
    async with pool_of(nodes) as pool:
        await known(pool)
        for _ in range(5):
            async with aclosing(pool.generate(job)) as pieces:
                await anext(pieces)
                await anext(pieces)
        (home,) = [node for node in nodes if node.jobs]
        assert len(home.jobs) == 5
        explanation = pool.explain(job)
        assert explanation.scores[0].held > 1000
        assert home.server is not None
        assert explanation.chosen == home.server.url
        home.boot = "b.0"
        await until(lambda: not any(score.held for score in pool.explain(job).scores))


async def test_client_that_leaves_frees_the_node(nodes: list[Node]) -> None:
    nodes[0].fails_after, nodes[0].failure = 2, HANG
    async with pool_of(nodes[:1], hang_s=30) as pool:
        pieces = pool.generate(JOB)
        await anext(pieces)
        await anext(pieces)
        assert pool.health().running == 1
        await pieces.aclose()
        assert pool.health().running == 0
        assert nodes[0].server is not None
        async with asyncio.timeout(5):
            await nodes[0].server.left.wait()


async def test_client_that_leaves_before_the_first_text_frees_the_node(nodes: list[Node]) -> None:
    async with pool_of(nodes[:1]) as pool:
        await known(pool)
        async with aclosing(pool.generate(JOB)) as pieces:
            await anext(pieces)
            assert pool.explain(JOB).scores[0].running > 0
        assert pool.explain(JOB).scores[0].running == 0
        assert pool.health().running == 0


async def test_connections_of_a_node_that_left_are_closed_after_its_failure(
    nodes: list[Node],
) -> None:
    nodes[0].refusal, nodes[1].refusal = [HANG], None
    async with pool_of(nodes[:1], hang_s=60) as pool:
        await known(pool)
        [gone] = pool._nodes.values()
        job = asyncio.create_task(text_of(pool))
        await until(lambda: bool(nodes[0].jobs))
        pool.follow(replace(pool._settings, nodes=(url_of(nodes[1]),)))
        gone.engine.fail_all(lambda: UpstreamError("lost", 500))
        assert (await job)[0] == TEXT
        await until(lambda: is_closed(gone))


async def test_closed_pool_ends_the_jobs_of_nodes_that_left(nodes: list[Node]) -> None:
    nodes[0].fails_after, nodes[0].failure = 2, HANG
    async with pool_of(nodes[:1], hang_s=60) as pool:
        await known(pool)
        [gone] = pool._nodes.values()
        job = asyncio.create_task(refused_by(pool))
        await until(lambda: gone.engine.health().running > 0)
        pool.follow(replace(pool._settings, nodes=()))
    assert (await job).kind is Kind.FAILED
    assert is_closed(gone)


def url_of(node: Node) -> str:
    assert node.server is not None
    return node.server.url


def is_closed(node: PoolNode) -> bool:
    session = node.engine._connection._pool._session
    return session is None or session.closed
