"""The two clients, with what they can be asked for."""

from __future__ import annotations

from functools import cached_property

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


class Client(SyncSender):
    """A client of the Text Completions API; also called `Anthropic`.

    Many threads may use it at once. `close()`, or the end of a `with` block, ends its
    connections, and its engine if it has one.

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
    def with_raw_response(self) -> ClientWithRawResponse:
        """The same, with calls that return the response."""
        return ClientWithRawResponse(self)

    @cached_property
    def with_streaming_response(self) -> ClientWithStreamingResponse:
        """The same, with calls that return the response before its body is read."""
        return ClientWithStreamingResponse(self)


class ClientWithRawResponse:
    """`client.with_raw_response`."""

    def __init__(self, client: Client) -> None:
        self.completions: CompletionsWithRawResponse = CompletionsWithRawResponse(client)
        self.models: ModelsWithRawResponse = ModelsWithRawResponse(client)


class ClientWithStreamingResponse:
    """`client.with_streaming_response`."""

    def __init__(self, client: Client) -> None:
        self.completions: CompletionsWithStreamingResponse = CompletionsWithStreamingResponse(
            client
        )
        self.models: ModelsWithStreamingResponse = ModelsWithStreamingResponse(client)


class AsyncClient(AsyncSender):
    """As `Client`, for asyncio; also called `AsyncAnthropic`.

    Several event loops may use it. Cancelling a task that waits for a call closes the
    connection, and the server stops writing.

    See `__init__` for the arguments.
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
    def with_raw_response(self) -> AsyncClientWithRawResponse:
        """The same, with calls that return the response."""
        return AsyncClientWithRawResponse(self)

    @cached_property
    def with_streaming_response(self) -> AsyncClientWithStreamingResponse:
        """The same, with calls that return the response before its body is read."""
        return AsyncClientWithStreamingResponse(self)


class AsyncClientWithRawResponse:
    """`client.with_raw_response`."""

    def __init__(self, client: AsyncClient) -> None:
        self.completions: AsyncCompletionsWithRawResponse = AsyncCompletionsWithRawResponse(client)
        self.models: AsyncModelsWithRawResponse = AsyncModelsWithRawResponse(client)


class AsyncClientWithStreamingResponse:
    """`client.with_streaming_response`."""

    def __init__(self, client: AsyncClient) -> None:
        self.completions: AsyncCompletionsWithStreamingResponse = (
            AsyncCompletionsWithStreamingResponse(client)
        )
        self.models: AsyncModelsWithStreamingResponse = AsyncModelsWithStreamingResponse(client)
