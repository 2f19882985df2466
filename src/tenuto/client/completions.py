"""`client.completions`: `POST /v1/complete`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, Unpack, overload

import httpx2

from tenuto.client.call import Call, fields_of, headers_of
from tenuto.client.keywords import as_coroutine, checked
from tenuto.client.parsing import parse_model
from tenuto.client.responses import (
    AsyncResponseContextManager,
    RawResponse,
    ResponseContextManager,
)
from tenuto.client.retirement import warn_if_retired
from tenuto.client.senders import AsyncSender, SyncSender
from tenuto.client.sentinels import NotGiven, Omit, not_given, omit
from tenuto.client.streams import AsyncStream, Stream
from tenuto.client.types import (
    Betas,
    Completion,
    CompletionParams,
    MetadataParam,
    Model,
    TimeoutSpec,
)

CompletionT = TypeVar("CompletionT")
StreamT = TypeVar("StreamT")
EitherT = TypeVar("EitherT")
T = TypeVar("T")
_Coroutine: TypeAlias = Coroutine[Any, Any, T]


class BaseCompletions(Generic[CompletionT, StreamT, EitherT]):
    """`create`, for all variants of the resource.

    Args:
        client: The client.
        send: Sends a call and returns the result of `create`.
    """

    _stream_type: type[Stream[Any]] | type[AsyncStream[Any]] = Stream

    def __init__(self, client: SyncSender | AsyncSender, send: Callable[[Call[Any]], Any]) -> None:
        self._client = client
        self._send = send

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
    def create(self, *, stream: bool, **params: Unpack[CompletionParams]) -> EitherT: ...

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
            parse=self._stream_of if stream else _completion_of,
            fields=fields_of(arguments, extra_body),
            headers=headers_of(betas, extra_headers),
            query=extra_query,
            timeout=timeout,
            stream=bool(stream),
        )
        warn_if_retired(model, self._client._warned_models)
        return self._send(call)

    @classmethod
    def _stream_of(cls, response: httpx2.Response, strict: bool) -> Any:
        return cls._stream_type(response, strict=strict)


def _completion_of(response: httpx2.Response, strict: bool) -> Completion:
    return parse_model(Completion, response, strict)


class Completions(BaseCompletions[Completion, Stream[Completion], Completion | Stream[Completion]]):
    """Completions of prompts."""

    def __init__(self, client: SyncSender) -> None:
        super().__init__(client, client._parsed)

    @property
    def with_raw_response(self) -> CompletionsWithRawResponse:
        """The same methods, returning a `RawResponse` with status and headers."""
        return CompletionsWithRawResponse(self._client, self._client._raw)

    @property
    def with_streaming_response(self) -> CompletionsWithStreamingResponse:
        """The same methods, returning a context manager with the unread response."""
        return CompletionsWithStreamingResponse(self._client, self._client._streamed)


class CompletionsWithRawResponse(
    BaseCompletions[
        RawResponse[Completion],
        RawResponse[Stream[Completion]],
        RawResponse[Completion] | RawResponse[Stream[Completion]],
    ]
):
    """`Completions` whose `create` returns a `RawResponse`."""


class CompletionsWithStreamingResponse(
    BaseCompletions[
        ResponseContextManager[Completion],
        ResponseContextManager[Stream[Completion]],
        ResponseContextManager[Completion] | ResponseContextManager[Stream[Completion]],
    ]
):
    """`Completions` whose `create` sends its request when the `with` block begins."""


class AsyncCompletions(
    BaseCompletions[
        _Coroutine[Completion],
        _Coroutine[AsyncStream[Completion]],
        _Coroutine[Completion | AsyncStream[Completion]],
    ]
):
    """Completions of prompts, to be awaited."""

    _stream_type = AsyncStream

    def __init__(self, client: AsyncSender) -> None:
        super().__init__(client, client._parsed)

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
        _Coroutine[RawResponse[Completion]],
        _Coroutine[RawResponse[AsyncStream[Completion]]],
        _Coroutine[RawResponse[Completion] | RawResponse[AsyncStream[Completion]]],
    ]
):
    """`AsyncCompletions` whose `create` returns a `RawResponse`; its `parse` is not awaited."""

    _stream_type = AsyncStream

    if not TYPE_CHECKING:
        create = as_coroutine(BaseCompletions.create)


class AsyncCompletionsWithStreamingResponse(
    BaseCompletions[
        AsyncResponseContextManager[Completion],
        AsyncResponseContextManager[AsyncStream[Completion]],
        AsyncResponseContextManager[Completion]
        | AsyncResponseContextManager[AsyncStream[Completion]],
    ]
):
    """`AsyncCompletions` whose `create` sends its request when the `async with` block begins."""

    _stream_type = AsyncStream
