"""Dropped streams close their connections without the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tenuto import AsyncClient, Client
from tenuto.types import Completion
from tests.client.libraries import ASK, piece
from tests.client.loopback import LoopbackServer, endless, serving

STREAM: dict[str, Any] = ASK | {"stream": True}


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with serving(endless(piece(" word"))) as server:
        yield server


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only the count of references may free a stream."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def never_iterated(client: Client) -> Any:
    return client.completions.create(**STREAM)


def half_iterated(client: Client) -> Any:
    stream = client.completions.create(**STREAM)
    next(stream)
    return stream


def iterator(client: Client) -> Any:
    iterator = iter(client.completions.create(**STREAM))
    next(iterator)
    return iterator


def text(client: Client) -> Any:
    words = client.completions.create(**STREAM).text
    assert next(words) == " word"
    return words


def raw_response(client: Client) -> Any:
    return client.completions.with_raw_response.create(**STREAM)


def parsed_raw_response(client: Client) -> Any:
    stream: Any = client.completions.with_raw_response.create(**STREAM).parse()
    next(stream)
    return stream


def streaming_response(client: Client) -> Any:
    return client.completions.with_streaming_response.create(**STREAM).__enter__()


def lines_of_a_streaming_response(client: Client) -> Any:
    lines = client.completions.with_streaming_response.create(**STREAM).__enter__().iter_lines()
    assert next(lines) == "event: completion"
    return lines


def plain_streaming_response(client: Client) -> Any:
    return client.completions.with_streaming_response.create(**ASK).__enter__()


def left_by_an_exception(client: Client) -> Any:
    def fail() -> None:
        stream = client.completions.create(**STREAM)
        next(stream)
        raise KeyError

    try:
        fail()
    except KeyError:
        return None


@pytest.mark.parametrize(
    "hold",
    [
        *(never_iterated, half_iterated, iterator, text, raw_response, parsed_raw_response),
        *(streaming_response, lines_of_a_streaming_response, plain_streaming_response),
        left_by_an_exception,
    ],
)
@pytest.mark.usefixtures("no_collector")
def test_a_dropped_stream_closes_its_connection(
    server: LoopbackServer, hold: Callable[[Client], Any]
) -> None:
    with Client(base_url=server.url) as client:
        held = [hold(client) for _ in range(3)]
        if hold is not left_by_an_exception:
            server.wait_until_open(3)
        del held
        server.wait_until_open(0)


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("kind", ["stream", "text", "raw", "streaming response"])
@pytest.mark.usefixtures("no_collector")
def test_a_dropped_stream_of_an_awaited_client_closes_its_connection(
    server: LoopbackServer, kind: str, started: bool
) -> None:
    async def hold(client: AsyncClient) -> Any:
        completions = client.completions
        if kind == "raw":
            response: Any = await completions.with_raw_response.create(**STREAM)
            if not started:
                return response
            stream = response.parse()
        elif kind == "streaming response":
            streaming = completions.with_streaming_response.create(**STREAM)
            entered: Any = await streaming.__aenter__()
            if not started:
                return entered
            stream = entered.iter_lines()
        else:
            stream = await completions.create(**STREAM)
        iterator = stream.text if kind == "text" else stream
        if started:
            await anext(iterator)
        return iterator

    async def drop() -> None:
        async with AsyncClient(base_url=server.url) as client:
            held = [await hold(client) for _ in range(3)]
            await asyncio.to_thread(server.wait_until_open, 3)
            del held
            await asyncio.to_thread(server.wait_until_open, 0)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(drop())


def test_a_stream_may_outlive_its_loop_without_a_warning(server: LoopbackServer) -> None:
    async def begin() -> Any:
        client = AsyncClient(base_url=server.url)
        return client, await client.completions.create(**STREAM)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        held = asyncio.run(begin())
        server.wait_until_open(0)
        del held
        gc.collect()
    assert [str(each.message) for each in seen] == []


def test_iteration_over_an_unnamed_stream_continues(server: LoopbackServer) -> None:
    with Client(base_url=server.url) as client:
        seen: list[Completion] = []
        for item in client.completions.create(**STREAM):
            seen.append(item)
            if len(seen) == 5:
                break
        assert len(seen) == 5
        server.wait_until_open(0)
