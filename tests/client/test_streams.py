"""Streams, where ours does more than the official one."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import httpx2
import pytest

from tenuto import AsyncClient, Client, IncompleteStreamError
from tenuto.client.errors import APIConnectionError, APIResponseValidationError, APITimeoutError
from tests.client.libraries import ASK, LAST, OURS, PIECE, PING, Dual, event, piece
from tests.conftest import FREED_S, LONG_TOKENS, RunningServer

pytestmark = pytest.mark.anyio

LONG: dict[str, Any] = ASK | {"max_tokens_to_sample": LONG_TOKENS, "stream": True}


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def dual(request: pytest.FixtureRequest) -> Dual:
    return Dual(OURS, awaited=request.param)


async def stream_of(dual: Dual, *chunks: bytes | Exception, **options: Any) -> Any:
    response = dual.library.stream(*chunks)
    client = dual.client(lambda _: response, **options)
    return await dual.create(client, stream=True)


async def test_text_yields_the_text_only(dual: Dual) -> None:
    stream = await stream_of(dual, PING, piece(" Hel"), piece(""), piece("lo!"), LAST)
    assert await dual.items(stream.text) == [" Hel", "lo!"]


async def test_final_completion_has_the_whole_text(dual: Dual) -> None:
    stream = await stream_of(dual, piece(" Hel"), piece("lo"), piece("!", "max_tokens"))
    assert (await dual.got(anext(stream) if dual.awaited else next(stream))).completion == " Hel"
    final = await dual.got(stream.get_final_completion())
    assert (final.completion, final.stop_reason, final.id) == (" Hello!", "max_tokens", "compl_1")
    assert await dual.got(stream.get_final_completion()) == final


async def test_final_completion_has_the_logprobs_of_every_piece(dual: Dual) -> None:
    def scored(text: str, reason: str | None, tokens: list[str], top: object) -> bytes:
        body = PIECE | {"completion": text, "stop_reason": reason}
        return event("completion", body | {"logprobs": {"tokens": tokens, "top": top}})

    chunks = scored(" Hi", None, [" H", "i"], None), scored("!", None, ["!"], None)
    stream = await stream_of(dual, *chunks, scored("", "max_tokens", [], None))
    first = await dual.got(anext(stream) if dual.awaited else next(stream))
    assert first.logprobs == {"tokens": [" H", "i"], "top": None}
    final = await dual.got(stream.get_final_completion())
    assert final.logprobs == {"tokens": [" H", "i", "!"], "top": None}


@pytest.mark.parametrize("chunks", [(), (PING,), (piece(" Hel"), piece("lo")), (LAST[:40],)])
async def test_stream_without_a_final_event_is_an_error(
    dual: Dual, chunks: tuple[bytes, ...]
) -> None:
    stream = await stream_of(dual, *chunks)
    with pytest.raises(IncompleteStreamError, match="before its final event") as caught:
        await dual.items(stream)
    assert caught.value.text == (" Hello" if len(chunks) == 2 else "")
    assert isinstance(caught.value, APIConnectionError)
    assert stream.response.body.closed


@pytest.mark.parametrize("error", [httpx2.ReadError("reset"), httpx2.ReadTimeout("slow")])
async def test_a_connection_may_break_after_the_final_event(dual: Dual, error: Exception) -> None:
    stream = await stream_of(dual, piece(" Hel"), piece("lo"), LAST, error)
    final = await dual.got(stream.get_final_completion())
    assert (final.completion, final.stop_reason) == (" Hello", "stop_sequence")


async def test_a_final_event_needs_no_blank_line(dual: Dual) -> None:
    for last in (LAST[:-1], LAST[:-2]):
        stream = await stream_of(dual, piece(" Hello"), last)
        final = await dual.got(stream.get_final_completion())
        assert (final.completion, final.stop_reason) == (" Hello", "stop_sequence")


async def test_a_closed_stream_has_no_final_completion(dual: Dual) -> None:
    for started in (True, False):
        stream = await stream_of(dual, piece(" Hel"), piece("lo"), LAST)
        if started:
            await dual.got(anext(stream) if dual.awaited else next(stream))
        await dual.close(stream)
        with pytest.raises(IncompleteStreamError, match="closed here") as caught:
            await dual.got(stream.get_final_completion())
        assert caught.value.text == (" Hel" if started else "")


async def test_failed_stream_raises_the_same_error_again(dual: Dual) -> None:
    stream = await stream_of(dual, piece(" Hel"), httpx2.ReadError("reset by peer"))
    for _ in range(2):
        with pytest.raises(APIConnectionError, match="reset by peer"):
            await dual.got(stream.get_final_completion())


async def test_error_of_another_content_type_has_the_type(dual: Dual) -> None:
    response = httpx2.Response(200, json={"completion": " Hi"})
    stream = await dual.create(dual.client(lambda _: response), stream=True)
    with pytest.raises(IncompleteStreamError, match="application/json"):
        await dual.items(stream)


async def test_broken_connection_raises_connection_error(dual: Dual) -> None:
    stream = await stream_of(dual, piece(" Hel"), httpx2.ReadError("reset by peer"))
    with pytest.raises(APIConnectionError, match="reset by peer"):
        await dual.items(stream)
    stream = await stream_of(dual, piece(" Hel"), httpx2.ReadTimeout("slow"))
    with pytest.raises(APITimeoutError):
        await dual.items(stream)


async def test_text_before_an_error_in_the_same_chunk_is_yielded_first(dual: Dual) -> None:
    error = event("error", {"type": "error", "error": {"type": "api_error", "message": "Broke."}})
    stream = await stream_of(dual, piece(" Hel") + error)
    assert (await dual.got(anext(stream) if dual.awaited else next(stream))).completion == " Hel"
    with pytest.raises(dual.library.module.APIStatusError, match="Broke"):
        await dual.items(stream)


async def test_invalid_piece_is_a_validation_error(dual: Dual) -> None:
    stream = await stream_of(dual, event("completion", [1]), LAST)
    with pytest.raises(APIResponseValidationError):
        await dual.items(stream)


async def test_closed_stream_yields_nothing(dual: Dual) -> None:
    stream = await stream_of(dual, piece(" Hel") + piece("lo"), LAST)
    assert (await dual.got(anext(stream) if dual.awaited else next(stream))).completion == " Hel"
    await dual.close(stream)
    await dual.close(stream)
    assert await dual.items(stream) == []


def test_closed_stream_frees_the_servers_slot(long_server: RunningServer) -> None:
    with Client(base_url=long_server.url) as client:
        with client.completions.create(**LONG) as stream:
            next(stream)
            assert long_server.get("/ready")["running"] == 1
        long_server.wait_until_idle(FREED_S)
        # Forgotten, not closed.
        next(client.completions.create(**LONG))
        gc.collect()
        long_server.wait_until_idle(FREED_S)


def test_another_thread_may_close_a_stream(long_server: RunningServer) -> None:
    with Client(base_url=long_server.url) as client:
        stream = client.completions.create(**LONG)
        next(stream)
        closer = threading.Thread(target=stream.close)
        events = 0
        for events, _ in enumerate(stream, start=1):
            if events == 4:
                closer.start()
        closer.join()
        assert 4 <= events < LONG_TOKENS / 2
        long_server.wait_until_idle(FREED_S)


@pytest.mark.parametrize("streamed", [True, False])
async def test_cancelling_a_task_frees_the_servers_slot(
    long_server: RunningServer, streamed: bool
) -> None:
    async def read() -> None:
        fields: dict[str, Any] = {**LONG, "stream": streamed}
        answer = await client.completions.create(**fields)
        if streamed:
            async for _ in answer:
                pass

    async with AsyncClient(base_url=long_server.url) as client:
        task = asyncio.create_task(read())
        while not (await asyncio.to_thread(long_server.get, "/ready"))["running"]:
            assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(long_server.wait_until_idle, FREED_S)
