"""`client.completions`: `POST /v1/complete`."""

from __future__ import annotations

from typing import Any, Literal, Unpack, overload

import httpx2

from tenuto.client import requests
from tenuto.client.base import BaseClient
from tenuto.client.call import Call
from tenuto.client.given import NotGiven, Omit
from tenuto.client.responses import (
    AsyncResponseContextManager,
    RawResponse,
    ResponseContextManager,
)
from tenuto.client.senders import AsyncSender, SyncSender
from tenuto.client.streams import AsyncStream, Stream
from tenuto.client.types import Completion, CompletionParams


class Completions:
    """Completions of prompts."""

    def __init__(self, client: SyncSender) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> CompletionsWithRawResponse:
        """`create` returns the response, with its status and headers."""
        return CompletionsWithRawResponse(self._client)

    @property
    def with_streaming_response(self) -> CompletionsWithStreamingResponse:
        """`create` returns a context manager, in which the body is read when it is asked for."""
        return CompletionsWithStreamingResponse(self._client)

    @overload
    def create(
        self,
        *,
        stream: Literal[False] | Omit | NotGiven = ...,
        **params: Unpack[CompletionParams],
    ) -> Completion: ...

    @overload
    def create(
        self, *, stream: Literal[True], **params: Unpack[CompletionParams]
    ) -> Stream[Completion]: ...

    @overload
    def create(
        self, *, stream: bool, **params: Unpack[CompletionParams]
    ) -> Completion | Stream[Completion]: ...

    def create(self, **params: Any) -> Completion | Stream[Completion]:
        """Completes a prompt.

        Args:
            params: See `CompletionParams`. With `stream=True` the text comes as it is written.

        Raises:
            APIStatusError: The server refused; `BadRequestError` and so on by its status.
            APIConnectionError: It did not answer.
        """
        return self._client._parsed(_create(self._client, params))


class CompletionsWithRawResponse:
    """`client.completions.with_raw_response`."""

    def __init__(self, client: SyncSender) -> None:
        self._client = client

    @overload
    def create(
        self,
        *,
        stream: Literal[False] | Omit | NotGiven = ...,
        **params: Unpack[CompletionParams],
    ) -> RawResponse[Completion]: ...

    @overload
    def create(
        self, *, stream: Literal[True], **params: Unpack[CompletionParams]
    ) -> RawResponse[Stream[Completion]]: ...

    @overload
    def create(
        self, *, stream: bool, **params: Unpack[CompletionParams]
    ) -> RawResponse[Completion] | RawResponse[Stream[Completion]]: ...

    def create(self, **params: Any) -> RawResponse[Any]:
        """See `Completions.create`; `.parse()` gives what that returns."""
        return self._client._raw(_create(self._client, params))


class CompletionsWithStreamingResponse:
    """`client.completions.with_streaming_response`."""

    def __init__(self, client: SyncSender) -> None:
        self._client = client

    @overload
    def create(
        self,
        *,
        stream: Literal[False] | Omit | NotGiven = ...,
        **params: Unpack[CompletionParams],
    ) -> ResponseContextManager[Completion]: ...

    @overload
    def create(
        self, *, stream: Literal[True], **params: Unpack[CompletionParams]
    ) -> ResponseContextManager[Stream[Completion]]: ...

    @overload
    def create(
        self, *, stream: bool, **params: Unpack[CompletionParams]
    ) -> ResponseContextManager[Completion] | ResponseContextManager[Stream[Completion]]: ...

    def create(self, **params: Any) -> ResponseContextManager[Any]:
        """See `Completions.create`; the request is sent when the `with` block begins."""
        return self._client._streamed(_create(self._client, params))


class AsyncCompletions:
    """Completions of prompts, to be awaited."""

    def __init__(self, client: AsyncSender) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> AsyncCompletionsWithRawResponse:
        """`create` returns the response, with its status and headers."""
        return AsyncCompletionsWithRawResponse(self._client)

    @property
    def with_streaming_response(self) -> AsyncCompletionsWithStreamingResponse:
        """`create` returns a context manager, in which the body is read when it is asked for."""
        return AsyncCompletionsWithStreamingResponse(self._client)

    @overload
    async def create(
        self,
        *,
        stream: Literal[False] | Omit | NotGiven = ...,
        **params: Unpack[CompletionParams],
    ) -> Completion: ...

    @overload
    async def create(
        self, *, stream: Literal[True], **params: Unpack[CompletionParams]
    ) -> AsyncStream[Completion]: ...

    @overload
    async def create(
        self, *, stream: bool, **params: Unpack[CompletionParams]
    ) -> Completion | AsyncStream[Completion]: ...

    async def create(self, **params: Any) -> Completion | AsyncStream[Completion]:
        """See `Completions.create`."""
        return await self._client._parsed(_create_async(self._client, params))


class AsyncCompletionsWithRawResponse:
    """`client.completions.with_raw_response`."""

    def __init__(self, client: AsyncSender) -> None:
        self._client = client

    @overload
    async def create(
        self,
        *,
        stream: Literal[False] | Omit | NotGiven = ...,
        **params: Unpack[CompletionParams],
    ) -> RawResponse[Completion]: ...

    @overload
    async def create(
        self, *, stream: Literal[True], **params: Unpack[CompletionParams]
    ) -> RawResponse[AsyncStream[Completion]]: ...

    @overload
    async def create(
        self, *, stream: bool, **params: Unpack[CompletionParams]
    ) -> RawResponse[Completion] | RawResponse[AsyncStream[Completion]]: ...

    async def create(self, **params: Any) -> RawResponse[Any]:
        """See `Completions.create`; `.parse()`, which is not awaited, gives what that returns."""
        return await self._client._raw(_create_async(self._client, params))


class AsyncCompletionsWithStreamingResponse:
    """`client.completions.with_streaming_response`."""

    def __init__(self, client: AsyncSender) -> None:
        self._client = client

    @overload
    def create(
        self,
        *,
        stream: Literal[False] | Omit | NotGiven = ...,
        **params: Unpack[CompletionParams],
    ) -> AsyncResponseContextManager[Completion]: ...

    @overload
    def create(
        self, *, stream: Literal[True], **params: Unpack[CompletionParams]
    ) -> AsyncResponseContextManager[AsyncStream[Completion]]: ...

    @overload
    def create(
        self, *, stream: bool, **params: Unpack[CompletionParams]
    ) -> (
        AsyncResponseContextManager[Completion]
        | AsyncResponseContextManager[AsyncStream[Completion]]
    ): ...

    def create(self, **params: Any) -> AsyncResponseContextManager[Any]:
        """See `Completions.create`; the request is sent when the `async with` block begins."""
        return self._client._streamed(_create_async(self._client, params))


def _create(client: BaseClient, params: dict[str, Any]) -> Call[Completion | Stream[Completion]]:
    call = requests.create(_stream_of, **params)
    client._warn_if_retired(params["model"])
    return call


def _create_async(
    client: BaseClient, params: dict[str, Any]
) -> Call[Completion | AsyncStream[Completion]]:
    call = requests.create(_async_stream_of, **params)
    client._warn_if_retired(params["model"])
    return call


def _stream_of(response: httpx2.Response, strict: bool) -> Stream[Completion]:
    return Stream(response, strict=strict)


def _async_stream_of(response: httpx2.Response, strict: bool) -> AsyncStream[Completion]:
    return AsyncStream(response, strict=strict)
