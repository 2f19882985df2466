"""Types of the client, checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from tenuto import (
    AI_PROMPT,
    HUMAN_PROMPT,
    Anthropic,
    APIResponse,
    APIStatusError,
    AsyncAnthropic,
    AsyncAPIResponse,
    AsyncClient,
    AsyncStream,
    Client,
    RawResponse,
    Stream,
    omit,
)
from tenuto.types import AsyncPage, Completion, ModelInfo, SyncPage

PROMPT = f"{HUMAN_PROMPT} Hello{AI_PROMPT}"


def plain(client: Client) -> None:
    completion = client.completions.create(model="m", prompt=PROMPT, max_tokens_to_sample=5)
    assert_type(completion, Completion)
    assert_type(completion.completion, str)
    assert_type(completion.stop_reason, str | None)
    assert_type(completion._request_id, str | None)
    not_streamed = client.completions.create(
        model="claude-2.1",
        prompt=PROMPT,
        max_tokens_to_sample=5,
        stop_sequences=("END",),
        temperature=1,
        top_k=omit,
        metadata={"user_id": None},
        betas=["some-beta-2030-01-01"],
        stream=False,
        timeout=None,
    )
    assert_type(not_streamed, Completion)


def streamed(client: Client, stream: bool) -> None:
    pieces = client.completions.create(
        model="m", prompt=PROMPT, max_tokens_to_sample=5, stream=True
    )
    assert_type(pieces, Stream[Completion])
    assert_type(iter(pieces), Iterator[Completion])
    assert_type(next(pieces), Completion)
    assert_type(pieces.text, Iterator[str])
    assert_type(pieces.get_final_completion(), Completion)
    with pieces as entered:
        assert_type(entered, Stream[Completion])
    either = client.completions.create(
        model="m", prompt=PROMPT, max_tokens_to_sample=5, stream=stream
    )
    assert_type(either, Completion | Stream[Completion])


def responses(client: Client) -> None:
    raw = client.completions.with_raw_response.create(
        model="m", prompt=PROMPT, max_tokens_to_sample=5
    )
    assert_type(raw, RawResponse[Completion])
    assert_type(raw.parse(), Completion)
    assert_type(raw.parse(to=str), str)
    raw_stream = client.with_raw_response.completions.create(
        model="m", prompt=PROMPT, max_tokens_to_sample=5, stream=True
    )
    assert_type(raw_stream.parse(), Stream[Completion])
    with client.completions.with_streaming_response.create(
        model="m", prompt=PROMPT, max_tokens_to_sample=5, stream=True
    ) as response:
        assert_type(response, APIResponse[Stream[Completion]])
        assert_type(response.parse(), Stream[Completion])
        assert_type(response.iter_lines(), Iterator[str])


def models(client: Client) -> None:
    assert_type(client.models.retrieve("claude-2.1"), ModelInfo)
    page = client.models.list(limit=5)
    assert_type(page, SyncPage)
    assert_type(iter(page), Iterator[ModelInfo])
    assert_type(page.get_next_page(), SyncPage)


async def awaited(client: AsyncClient, stream: bool) -> None:
    completion = await client.completions.create(model="m", prompt=PROMPT, max_tokens_to_sample=5)
    assert_type(completion, Completion)
    pieces = await client.completions.create(
        model="m", prompt=PROMPT, max_tokens_to_sample=5, stream=True
    )
    assert_type(pieces, AsyncStream[Completion])
    assert_type(aiter(pieces), AsyncIterator[Completion])
    assert_type(pieces.text, AsyncIterator[str])
    assert_type(await pieces.get_final_completion(), Completion)
    either = await client.completions.create(
        model="m", prompt=PROMPT, max_tokens_to_sample=5, stream=stream
    )
    assert_type(either, Completion | AsyncStream[Completion])
    raw = await client.completions.with_raw_response.create(
        model="m", prompt=PROMPT, max_tokens_to_sample=5, stream=True
    )
    assert_type(raw.parse(), AsyncStream[Completion])
    async with client.with_streaming_response.completions.create(
        model="m", prompt=PROMPT, max_tokens_to_sample=5
    ) as response:
        assert_type(response, AsyncAPIResponse[Completion])
        assert_type(await response.parse(), Completion)
    assert_type(await client.models.list(), AsyncPage)
    async for model in client.models.list():
        assert_type(model, ModelInfo)


def made() -> None:
    assert_type(Anthropic(api_key="sk", timeout=5, max_retries=0), Client)
    assert_type(AsyncAnthropic(engine="local"), AsyncClient)
    assert_type(Client().with_options(timeout=None, max_retries=1), Client)
    with Client(engine="echo") as client:
        assert_type(client, Client)


def errors(error: APIStatusError) -> None:
    assert_type(error.status_code, int)
    assert_type(error.request_id, str | None)


def mistakes(client: Client) -> None:
    # Each of these must be an error; the checkers are told to complain where one is not.
    client.completions.create(model="m", prompt=PROMPT)  # type: ignore[call-overload]
    client.completions.create(  # type: ignore[call-overload]
        model="m",
        prompt=PROMPT,
        max_tokens_to_sample="5",  # pyright: ignore[reportArgumentType]
    )
    client.completions.create(  # type: ignore[call-overload]
        model="m", prompt=PROMPT, max_tokens_to_sample=5, max_tokens=5
    )
    client.messages  # type: ignore[attr-defined]  # noqa: B018
    Client(api_url="http://x")  # type: ignore[call-arg]
