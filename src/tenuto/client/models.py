"""`client.models`: `GET /v1/models`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Unpack

from tenuto.client import requests
from tenuto.client.call import Call
from tenuto.client.given import NotGiven, Omit, not_given, omit
from tenuto.client.keywords import signature_of
from tenuto.client.pages import AsyncPage, AsyncPaginator, SyncPage
from tenuto.client.responses import (
    AsyncResponseContextManager,
    RawResponse,
    ResponseContextManager,
)
from tenuto.client.senders import AsyncSender, SyncSender
from tenuto.client.types import AnthropicBeta, ModelInfo, RequestOptions, TimeoutSpec


class ListParams(RequestOptions, total=False):
    """The arguments of `models.list`.

    Attributes:
        after_id: Models older than this one.
        before_id: Models newer than this one.
        limit: Most models on a page, 1 to 1000; 20 if not given.
    """

    after_id: str | Omit | NotGiven
    before_id: str | Omit | NotGiven
    limit: int | Omit | NotGiven


def _list(  # noqa: D417
    self: object,
    *,
    limit: int | Omit | NotGiven = omit,
    after_id: str | Omit | NotGiven = omit,
    before_id: str | Omit | NotGiven = omit,
    betas: list[AnthropicBeta] | Omit | NotGiven = omit,
    extra_headers: Mapping[str, str | Omit] | None = None,
    extra_query: Mapping[str, object] | None = None,
    extra_body: Mapping[str, object] | None = None,
    timeout: TimeoutSpec | NotGiven = not_given,
) -> None:
    """The parameters of `list`, for people to see.

    Args:
        limit: Most models on a page, 1 to 1000; 20 if not given.
        after_id: Models older than this one.
        before_id: Models newer than this one.
        betas: Names for the header `anthropic-beta`.
        extra_headers: Headers on top of the client's; `omit` takes one away.
        extra_query: Parameters for the URL.
        extra_body: Fields for a JSON body.
        timeout: Seconds, an `httpx2.Timeout`, or None for no limit; else that of the client.
    """


def _retrieve(  # noqa: D417
    self: object,
    model_id: str,
    *,
    betas: list[AnthropicBeta] | Omit | NotGiven = omit,
    extra_headers: Mapping[str, str | Omit] | None = None,
    extra_query: Mapping[str, object] | None = None,
    extra_body: Mapping[str, object] | None = None,
    timeout: TimeoutSpec | NotGiven = not_given,
) -> None:
    """The parameters of `retrieve`, for people to see.

    Args:
        model_id: The name of the model.
        betas: Names for the header `anthropic-beta`.
        extra_headers: Headers on top of the client's; `omit` takes one away.
        extra_query: Parameters for the URL.
        extra_body: Fields for a JSON body.
        timeout: Seconds, an `httpx2.Timeout`, or None for no limit; else that of the client.
    """


class Models:
    """The models that the server has."""

    def __init__(self, client: SyncSender) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> ModelsWithRawResponse:
        """The calls return the response, with its status and headers."""
        return ModelsWithRawResponse(self._client)

    @property
    def with_streaming_response(self) -> ModelsWithStreamingResponse:
        """The calls return a context manager, in which the body is read when it is asked for."""
        return ModelsWithStreamingResponse(self._client)

    @signature_of(_list)
    def list(self, **params: Unpack[ListParams]) -> SyncPage:
        """The models, newest first: `for model in client.models.list()` goes over all pages."""
        return self._client._parsed(_pages(self._client, params))

    @signature_of(_retrieve)
    def retrieve(self, model_id: str, **options: Unpack[RequestOptions]) -> ModelInfo:
        """One model.

        Raises:
            NotFoundError: There is none of that name.
        """
        return self._client._parsed(requests.retrieve(model_id, **options))


class ModelsWithRawResponse:
    """`client.models.with_raw_response`."""

    def __init__(self, client: SyncSender) -> None:
        self._client = client

    @signature_of(_list)
    def list(self, **params: Unpack[ListParams]) -> RawResponse[SyncPage]:
        """See `Models.list`."""
        return self._client._raw(_pages(self._client, params))

    @signature_of(_retrieve)
    def retrieve(self, model_id: str, **options: Unpack[RequestOptions]) -> RawResponse[ModelInfo]:
        """See `Models.retrieve`."""
        return self._client._raw(requests.retrieve(model_id, **options))


class ModelsWithStreamingResponse:
    """`client.models.with_streaming_response`."""

    def __init__(self, client: SyncSender) -> None:
        self._client = client

    @signature_of(_list)
    def list(self, **params: Unpack[ListParams]) -> ResponseContextManager[SyncPage]:
        """See `Models.list`."""
        return self._client._streamed(_pages(self._client, params))

    @signature_of(_retrieve)
    def retrieve(
        self, model_id: str, **options: Unpack[RequestOptions]
    ) -> ResponseContextManager[ModelInfo]:
        """See `Models.retrieve`."""
        return self._client._streamed(requests.retrieve(model_id, **options))


class AsyncModels:
    """The models that the server has, to be awaited."""

    def __init__(self, client: AsyncSender) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> AsyncModelsWithRawResponse:
        """The calls return the response, with its status and headers."""
        return AsyncModelsWithRawResponse(self._client)

    @property
    def with_streaming_response(self) -> AsyncModelsWithStreamingResponse:
        """The calls return a context manager, in which the body is read when it is asked for."""
        return AsyncModelsWithStreamingResponse(self._client)

    @signature_of(_list)
    def list(self, **params: Unpack[ListParams]) -> AsyncPaginator:
        """The models: await it for one page, or `async for` over the models of all pages."""
        return AsyncPaginator(partial(self._client._parsed, _async_pages(self._client, params)))

    @signature_of(_retrieve)
    async def retrieve(self, model_id: str, **options: Unpack[RequestOptions]) -> ModelInfo:
        """See `Models.retrieve`."""
        return await self._client._parsed(requests.retrieve(model_id, **options))


class AsyncModelsWithRawResponse:
    """`client.models.with_raw_response`."""

    def __init__(self, client: AsyncSender) -> None:
        self._client = client

    @signature_of(_list)
    async def list(self, **params: Unpack[ListParams]) -> RawResponse[AsyncPage]:
        """See `AsyncModels.list`."""
        return await self._client._raw(_async_pages(self._client, params))

    @signature_of(_retrieve)
    async def retrieve(
        self, model_id: str, **options: Unpack[RequestOptions]
    ) -> RawResponse[ModelInfo]:
        """See `Models.retrieve`."""
        return await self._client._raw(requests.retrieve(model_id, **options))


class AsyncModelsWithStreamingResponse:
    """`client.models.with_streaming_response`."""

    def __init__(self, client: AsyncSender) -> None:
        self._client = client

    @signature_of(_list)
    def list(self, **params: Unpack[ListParams]) -> AsyncResponseContextManager[AsyncPage]:
        """See `AsyncModels.list`."""
        return self._client._streamed(_async_pages(self._client, params))

    @signature_of(_retrieve)
    def retrieve(
        self, model_id: str, **options: Unpack[RequestOptions]
    ) -> AsyncResponseContextManager[ModelInfo]:
        """See `Models.retrieve`."""
        return self._client._streamed(requests.retrieve(model_id, **options))


def _pages(client: SyncSender, params: Any) -> Call[SyncPage]:
    def following(query: dict[str, Any]) -> SyncPage:
        return client._parsed(_pages(client, params | query))

    return requests.list_models(SyncPage, following, **params)


def _async_pages(client: AsyncSender, params: Any) -> Call[AsyncPage]:
    async def following(query: dict[str, Any]) -> AsyncPage:
        return await client._parsed(_async_pages(client, params | query))

    return requests.list_models(AsyncPage, following, **params)
