"""`client.completions`: `POST /v1/complete`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Coroutine, Iterable, Mapping
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, Unpack, overload

import httpx2

from tenuto.client.call import Call, fields_of, headers_of, parse_model
from tenuto.client.keywords import as_coroutine, checked
from tenuto.client.responses import (
    AsyncResponseContextManager,
    RawResponse,
    ResponseContextManager,
)
from tenuto.client.senders import AsyncSender, Resource
from tenuto.client.streams import AsyncStream, Stream
from tenuto.client.types import (
    Betas,
    Completion,
    CompletionParams,
    MetadataParam,
    Model,
    NotGiven,
    Omit,
    TimeoutSpec,
    not_given,
    omit,
)
from tenuto.wire.names import retired_on

CompletionT = TypeVar("CompletionT")
StreamT = TypeVar("StreamT")
T = TypeVar("T")
_Coroutine: TypeAlias = Coroutine[Any, Any, T]


class BaseCompletions(Resource, Generic[CompletionT, StreamT]):
    """`create`, for all variants of the resource."""

    @overload
    def create(
        self,
        *,
        stream: Literal[False] | Omit | NotGiven = ...,
        **params: Unpack[CompletionParams],
    ) -> CompletionT: ...

    @overload
    def create(self, *, stream: Literal[True], **params: Unpack[CompletionParams]) -> StreamT: ...

    @overload
    def create(
        self, *, stream: bool, **params: Unpack[CompletionParams]
    ) -> CompletionT | StreamT: ...

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
        betas: Betas = omit,
        extra_headers: Mapping[str, str | Omit] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
        timeout: TimeoutSpec | NotGiven = not_given,
    ) -> Any:
        r"""Complete a prompt.

        The server validates the values; the client sends them as they are.

        Args:
            model: Name of the model.
            prompt: `\n\nHuman: …\n\nAssistant:`, from `HUMAN_PROMPT` and `AI_PROMPT`.
            max_tokens_to_sample: Maximum number of tokens to generate, 1 or more.
            stop_sequences: Texts that end the completion, in addition to `\n\nHuman:`.
            temperature: 0 (most likely tokens) to 1, the default.
            top_k: Sample from the `top_k` most likely tokens, 0 or more.
            top_p: Sample from the most likely tokens up to this total probability, 0 to 1.
            metadata: Identifies the end user: `{"user_id": ...}`.
            stream: True for a stream of the text as it is generated.
            betas: Values of the header `anthropic-beta`.
            extra_headers: Additional headers; `omit` removes one of the client's.
            extra_query: Additional URL parameters.
            extra_body: Additional fields of the JSON body; they override the arguments.
            timeout: Seconds, an `httpx2.Timeout`, or None for no limit; default: the client's.

        Returns:
            A completion, or with `stream` a stream; with `with_raw_response` or
            `with_streaming_response` its response. Methods of `AsyncClient` are awaited.

        Raises:
            TypeError: An argument is missing or unknown.
            APIStatusError: The server returned an error; `BadRequestError` and so on by status.
            APIConnectionError: The server returned no response.
        """
        # Tuples and sets become lists; a str stays one, which the server's error names.
        if isinstance(stop_sequences, Iterable) and not isinstance(stop_sequences, str):
            stop_sequences = list(stop_sequences)
        arguments = {
            "model": model,
            "prompt": prompt,
            "max_tokens_to_sample": max_tokens_to_sample,
            "stop_sequences": stop_sequences,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "metadata": metadata,
            "stream": stream,
        }
        call = Call(
            method="POST",
            path="/v1/complete",
            parse=self._parse_stream if stream else partial(parse_model, Completion),
            fields=fields_of(arguments, extra_body),
            headers=headers_of(betas, extra_headers),
            query=extra_query,
            timeout=timeout,
            stream=bool(stream),
        )
        _warn_if_retired(model, self._client._warned_models)
        return self._send(call)

    def _parse_stream(self, response: httpx2.Response, strict: bool) -> Any:
        kind = AsyncStream if isinstance(self._client, AsyncSender) else Stream
        return kind(response, strict=strict)


def _warn_if_retired(model: object, warned: set[str]) -> None:
    """Warn about a model with a retirement date, once for each set `warned`, as officially."""
    end = retired_on(model) if isinstance(model, str) else None
    if end is None or model in warned:
        return
    assert isinstance(model, str)
    warned.add(model)
    retires = "retired" if end <= date.today() else "retires"
    warnings.warn(
        f"The service {retires} the model {model!r} on {end:%Y-%m-%d}, its end of life. A server "
        "of this API may answer to its name with a model of its own, which "
        "`client.models.list()` shows. Use that name instead.",
        DeprecationWarning,
        stacklevel=_frames_to_the_caller(),
    )


def _frames_to_the_caller() -> int:
    """Return the `stacklevel` of the first frame outside this package."""
    level, frame = 1, sys._getframe(1)
    package = __name__.partition(".")[0] + "."
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(package):
        level, frame = level + 1, frame.f_back
    return level


class Completions(BaseCompletions[Completion, Stream[Completion]]):
    """Completions of prompts."""

    @property
    def with_raw_response(self) -> CompletionsWithRawResponse:
        """The same methods, returning a `RawResponse` with status and headers."""
        return CompletionsWithRawResponse(self._client, self._client._raw)

    @property
    def with_streaming_response(self) -> CompletionsWithStreamingResponse:
        """The same methods, returning a context manager with the unread response."""
        return CompletionsWithStreamingResponse(self._client, self._client._streamed)


class CompletionsWithRawResponse(
    BaseCompletions[RawResponse[Completion], RawResponse[Stream[Completion]]]
):
    """`Completions` whose `create` returns a `RawResponse`."""


class CompletionsWithStreamingResponse(
    BaseCompletions[ResponseContextManager[Completion], ResponseContextManager[Stream[Completion]]]
):
    """`Completions` whose `create` sends its request when the `with` block begins."""


class AsyncCompletions(
    BaseCompletions[_Coroutine[Completion], _Coroutine[AsyncStream[Completion]]]
):
    """Completions of prompts, to be awaited."""

    if not TYPE_CHECKING:
        create = as_coroutine(BaseCompletions.create)

    @property
    def with_raw_response(self) -> AsyncCompletionsWithRawResponse:
        """The same methods, returning a `RawResponse` with status and headers."""
        return AsyncCompletionsWithRawResponse(self._client, self._client._raw)

    @property
    def with_streaming_response(self) -> AsyncCompletionsWithStreamingResponse:
        """The same methods, returning a context manager with the unread response."""
        return AsyncCompletionsWithStreamingResponse(self._client, self._client._streamed)


class AsyncCompletionsWithRawResponse(
    BaseCompletions[
        _Coroutine[RawResponse[Completion]], _Coroutine[RawResponse[AsyncStream[Completion]]]
    ]
):
    """`AsyncCompletions` whose `create` returns a `RawResponse`; its `parse` is not awaited."""

    if not TYPE_CHECKING:
        create = as_coroutine(BaseCompletions.create)


class AsyncCompletionsWithStreamingResponse(
    BaseCompletions[
        AsyncResponseContextManager[Completion],
        AsyncResponseContextManager[AsyncStream[Completion]],
    ]
):
    """`AsyncCompletions` whose `create` sends its request when the `async with` block begins."""
