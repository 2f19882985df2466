"""`client.completions`: `POST /v1/complete`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Unpack, overload

import httpx2

from tenuto.client import requests
from tenuto.client.base import BaseClient
from tenuto.client.call import Call
from tenuto.client.given import NotGiven, Omit, not_given, omit
from tenuto.client.keywords import checked, signature_of
from tenuto.client.responses import (
    AsyncResponseContextManager,
    RawResponse,
    ResponseContextManager,
)
from tenuto.client.senders import AsyncSender, SyncSender
from tenuto.client.streams import AsyncStream, Stream
from tenuto.client.types import (
    AnthropicBeta,
    Completion,
    CompletionParams,
    MetadataParam,
    Model,
    TimeoutSpec,
)


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

    @checked
    def create(
        self,
        *,
        model: Model,
        prompt: str,
        max_tokens_to_sample: int,
        stop_sequences: Iterable[str] | Omit | NotGiven = omit,
        temperature: float | Omit | NotGiven = omit,
        top_k: int | Omit | NotGiven = omit,
        top_p: float | Omit | NotGiven = omit,
        metadata: MetadataParam | Omit | NotGiven = omit,
        stream: bool | Omit | NotGiven = omit,
        betas: list[AnthropicBeta] | Omit | NotGiven = omit,
        extra_headers: Mapping[str, str | Omit] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
        timeout: TimeoutSpec | NotGiven = not_given,
    ) -> Completion | Stream[Completion]:
        r"""Complete a prompt.

        Args:
            model: Who completes the prompt.
            prompt: `\n\nHuman: …\n\nAssistant:`, from `HUMAN_PROMPT` and `AI_PROMPT`.
            max_tokens_to_sample: Most tokens to write, 1 or more.
            stop_sequences: Texts before which the completion ends, besides `\n\nHuman:`.
            temperature: 0 (the likeliest tokens) to 1, the default.
            top_k: Sample from so many tokens only, 0 or more.
            top_p: Sample from this much probability only, 0 to 1.
            metadata: Who asks: `{"user_id": ...}`.
            stream: True for a stream, which gives the text as it is written.
            betas: Names for the header `anthropic-beta`.
            extra_headers: Headers on top of the client's; `omit` takes one away.
            extra_query: Parameters for the URL.
            extra_body: Fields for the JSON body; they win over the arguments.
            timeout: Seconds, an `httpx2.Timeout`, or None for no limit; else that of the client.

        Raises:
            TypeError: An argument is missing or unknown.
            APIStatusError: The server refused; `BadRequestError` and so on by its status.
            APIConnectionError: It did not answer.
        """
        call = requests.create(
            _stream_of,
            model=model,
            prompt=prompt,
            max_tokens_to_sample=max_tokens_to_sample,
            stop_sequences=stop_sequences,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            metadata=metadata,
            stream=stream,
            betas=betas,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
            timeout=timeout,
        )
        self._client._warn_if_retired(model)
        return self._client._parsed(call)


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

    @signature_of(Completions.create)
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

    @signature_of(Completions.create)
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

    @checked
    async def create(
        self,
        *,
        model: Model,
        prompt: str,
        max_tokens_to_sample: int,
        stop_sequences: Iterable[str] | Omit | NotGiven = omit,
        temperature: float | Omit | NotGiven = omit,
        top_k: int | Omit | NotGiven = omit,
        top_p: float | Omit | NotGiven = omit,
        metadata: MetadataParam | Omit | NotGiven = omit,
        stream: bool | Omit | NotGiven = omit,
        betas: list[AnthropicBeta] | Omit | NotGiven = omit,
        extra_headers: Mapping[str, str | Omit] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
        timeout: TimeoutSpec | NotGiven = not_given,
    ) -> Completion | AsyncStream[Completion]:
        r"""Complete a prompt.

        Args:
            model: Who completes the prompt.
            prompt: `\n\nHuman: …\n\nAssistant:`, from `HUMAN_PROMPT` and `AI_PROMPT`.
            max_tokens_to_sample: Most tokens to write, 1 or more.
            stop_sequences: Texts before which the completion ends, besides `\n\nHuman:`.
            temperature: 0 (the likeliest tokens) to 1, the default.
            top_k: Sample from so many tokens only, 0 or more.
            top_p: Sample from this much probability only, 0 to 1.
            metadata: Who asks: `{"user_id": ...}`.
            stream: True for a stream, which gives the text as it is written.
            betas: Names for the header `anthropic-beta`.
            extra_headers: Headers on top of the client's; `omit` takes one away.
            extra_query: Parameters for the URL.
            extra_body: Fields for the JSON body; they win over the arguments.
            timeout: Seconds, an `httpx2.Timeout`, or None for no limit; else that of the client.

        Raises:
            TypeError: An argument is missing or unknown.
            APIStatusError: The server refused; `BadRequestError` and so on by its status.
            APIConnectionError: It did not answer.
        """
        call = requests.create(
            _async_stream_of,
            model=model,
            prompt=prompt,
            max_tokens_to_sample=max_tokens_to_sample,
            stop_sequences=stop_sequences,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            metadata=metadata,
            stream=stream,
            betas=betas,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
            timeout=timeout,
        )
        self._client._warn_if_retired(model)
        return await self._client._parsed(call)


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

    @signature_of(AsyncCompletions.create)
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

    @signature_of(AsyncCompletions.create)
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
