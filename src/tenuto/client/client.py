"""The two clients and their resources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from tenuto.client.completions import (
    AsyncCompletions,
    AsyncCompletionsWithRawResponse,
    AsyncCompletionsWithStreamingResponse,
    Completions,
    CompletionsWithRawResponse,
    CompletionsWithStreamingResponse,
)
from tenuto.client.models import (
    AsyncModels,
    AsyncModelsWithRawResponse,
    AsyncModelsWithStreamingResponse,
    Models,
    ModelsWithRawResponse,
    ModelsWithStreamingResponse,
)
from tenuto.client.senders import AsyncSender, SyncSender

CompletionsT = TypeVar("CompletionsT")
ModelsT = TypeVar("ModelsT")


@dataclass(frozen=True, slots=True)
class Resources(Generic[CompletionsT, ModelsT]):
    """Variants of both resources of a client."""

    completions: CompletionsT
    models: ModelsT


class Client(SyncSender):
    """A client of the Text Completions API; also named `Anthropic`.

    Thread-safe. `close()`, or the end of a `with` block, closes its connections and its engine.
    See `__init__` for the arguments.
    """

    @cached_property
    def completions(self) -> Completions:
        """`POST /v1/complete`."""
        return Completions(self)

    @cached_property
    def models(self) -> Models:
        """`GET /v1/models`."""
        return Models(self)

    @cached_property
    def with_raw_response(self) -> Resources[CompletionsWithRawResponse, ModelsWithRawResponse]:
        """Both resources, with methods that return a `RawResponse`."""
        return Resources(self.completions.with_raw_response, self.models.with_raw_response)

    @cached_property
    def with_streaming_response(
        self,
    ) -> Resources[CompletionsWithStreamingResponse, ModelsWithStreamingResponse]:
        """Both resources, with methods that return a context manager with the unread response."""
        return Resources(
            self.completions.with_streaming_response, self.models.with_streaming_response
        )


class AsyncClient(AsyncSender):
    """`Client` for asyncio; also named `AsyncAnthropic`.

    May be used by several event loops. Cancelling a task that awaits a call closes the
    connection, and the server stops generating. See `__init__` for the arguments.
    """

    @cached_property
    def completions(self) -> AsyncCompletions:
        """`POST /v1/complete`."""
        return AsyncCompletions(self)

    @cached_property
    def models(self) -> AsyncModels:
        """`GET /v1/models`."""
        return AsyncModels(self)

    @cached_property
    def with_raw_response(
        self,
    ) -> Resources[AsyncCompletionsWithRawResponse, AsyncModelsWithRawResponse]:
        """Both resources, with methods that return a `RawResponse`."""
        return Resources(self.completions.with_raw_response, self.models.with_raw_response)

    @cached_property
    def with_streaming_response(
        self,
    ) -> Resources[AsyncCompletionsWithStreamingResponse, AsyncModelsWithStreamingResponse]:
        """Both resources, with methods that return a context manager with the unread response."""
        return Resources(
            self.completions.with_streaming_response, self.models.with_streaming_response
        )
