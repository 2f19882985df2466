from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from tenuto.bench.figures import Figures
from tenuto.bench.load import Generator, Level, Load
from tenuto.bench.prompts import PromptSet, Sizes
from tests.bench.scripted_server import Script, scripted_server
from tests.conftest import PATIENCE_S

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[Script]:
    with scripted_server() as script:
        yield script


def generator(server: Script, kind: PromptSet = PromptSet.DISTINCT) -> Generator:
    load = Load(kind, Sizes(5, 7, 3), "the-model", 3, 0.5, PATIENCE_S, seed=1)
    return Generator(server.url + "/", {"x-api-key": "the-key"}, load)


async def measured(server: Script, level: Level, kind: PromptSet = PromptSet.DISTINCT) -> Figures:
    await generator(server, kind).run(level, lambda _: None)
    return level.figures()


async def test_requested_number_of_requests_is_sent(server: Script) -> None:
    found = await measured(server, Level(3, requests=10))
    assert len(server.bodies) == found.requests == 10
    assert found.complete
    assert len(set(server.prompts)) == 10
    assert server.bodies[0] | {"prompt": ""} == {
        "model": "the-model",
        "prompt": "",
        "max_tokens_to_sample": 3,
        "temperature": 0.5,
        "stream": True,
    }
    assert set(server.keys) == {"the-key"}


async def test_concurrency_is_reached_and_never_exceeded(server: Script) -> None:
    server.held = threading.Event()
    level = Level(5, requests=11)
    running = asyncio.create_task(generator(server).run(level, lambda _: None))
    deadline = time.monotonic() + PATIENCE_S
    while server.open < 5:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert len(server.bodies) == 5
    server.held.set()
    await running
    assert server.most_open == 5
    assert len(server.bodies) == 11


async def test_only_events_with_text_are_counted(server: Script) -> None:
    found = await measured(server, Level(2, requests=4))
    assert (found.tokens, found.exact) == (4 * 3, 0)


async def test_completion_that_ends_at_max_tokens_has_max_tokens(server: Script) -> None:
    server.texts = (" one two three",)
    server.stop_reason = "max_tokens"
    found = await measured(server, Level(2, requests=4))
    assert (found.tokens, found.exact) == (4 * 3, 4)


async def test_delays_of_the_server_are_measured(server: Script) -> None:
    server.first_s, server.gap_s = 0.3, 0.05
    found = await measured(server, Level(1, requests=2))
    assert found.first_token_s.median is not None
    assert found.between_tokens_s.median is not None
    assert found.between_tokens_s.largest is not None
    assert found.first_token_s.median >= 0.3
    # From " two" to " three" there are two waits, for the event between them has no text.
    assert found.between_tokens_s.median >= 0.05
    assert found.between_tokens_s.largest >= 0.1
    assert found.seconds >= 2 * (0.3 + 3 * 0.05)
    assert found.tokens_per_s == pytest.approx(found.tokens / found.seconds)


async def test_failures_are_counted_by_reason(server: Script) -> None:
    server.failures = [529, "error", "break", 529]
    found = await measured(server, Level(1, requests=6))
    assert (found.requests, found.failed) == (2, 4)
    assert found.failures == {
        "529 overloaded_error": 2,
        "api_error in the stream": 1,
        "the connection broke, or the response is not HTTP": 1,
    }
    assert found.tokens == 2 * 3


async def test_conversation_continues_with_the_responses(server: Script) -> None:
    await measured(server, Level(1, requests=4), PromptSet.MULTI_TURN)
    first, second, third, other = server.prompts
    assert second.startswith(first + " one two three\n\nHuman: ")
    assert third.startswith(second + " one two three\n\nHuman: ")
    assert not other.startswith(first)


async def test_failed_conversation_is_not_continued(server: Script) -> None:
    server.failures = [529]
    await measured(server, Level(1, requests=2), PromptSet.MULTI_TURN)
    assert server.prompts[1].count("Human:") == 1


async def test_warm_up_prompt_shares_no_prefix_with_measured_prompts(server: Script) -> None:
    work = generator(server, PromptSet.SHARED_PREFIX)
    assert await work.warm_up() is None
    await work.run(Level(1, requests=2), lambda _: None)
    warm_up, first, second = server.prompts
    assert first[:30] == second[:30]
    assert warm_up[:8] != first[:8]


async def test_warm_up_returns_the_reason_of_its_failure(server: Script) -> None:
    server.failures = [401]
    assert await generator(server).warm_up() == "401 overloaded_error"
    server.url = "http://127.0.0.1:1"
    assert await generator(server).warm_up() == "cannot connect: Connection refused"


async def test_shortest_duration_measures_each_concurrent_request(server: Script) -> None:
    level = Level(3, duration_s=0.0)
    await generator(server).run(level, lambda _: None)
    assert level.figures().requests == 3


async def test_no_request_is_sent_after_the_duration(server: Script) -> None:
    server.first_s = 0.2
    level = Level(2, duration_s=0.5)
    shares: list[float] = []
    await generator(server).run(level, shares.append)
    found = level.figures()
    # Each takes 0.2 s or more, so there is time for no more than three one after another.
    assert 2 <= found.requests <= 6
    assert found.requests == len(server.bodies)
    assert found.complete
    assert shares[-1] == 1.0


async def test_measurements_before_an_interruption_are_kept(server: Script) -> None:
    level = Level(1, requests=100)
    work = generator(server)
    running = asyncio.create_task(
        work.run(level, lambda _: running.cancel() if len(level.outcomes) == 3 else None)
    )
    with pytest.raises(asyncio.CancelledError):
        await running
    found = level.figures()
    assert (found.requests, found.tokens, found.complete) == (3, 9, False)
