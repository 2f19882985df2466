"""`client.models`: `GET /v1/models`."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

import httpx2

from tenuto.client.call import Call, fields_of, headers_of, parse_model
from tenuto.client.keywords import as_coroutine, checked
from tenuto.client.pages import AsyncPage, AsyncPaginator, SyncPage
from tenuto.client.responses import (
    AsyncResponseContextManager,
    RawResponse,
    ResponseContextManager,
)
from tenuto.client.senders import AsyncSender, Resource
from tenuto.client.types import Betas, ModelInfo, NotGiven, Omit, TimeoutSpec, not_given, omit

PageT = TypeVar("PageT")
InfoT = TypeVar("InfoT")


class BaseModels(Resource, Generic[PageT, InfoT]):
    """`list` and `retrieve`, for all variants of the resource."""

    @checked
    def list(
        self,
        *,
        limit: int | Omit | NotGiven = omit,
        after_id: str | Omit | NotGiven = omit,
        before_id: str | Omit | NotGiven = omit,
        betas: Betas = omit,
        extra_headers: Mapping[str, str | Omit] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
        timeout: TimeoutSpec | NotGiven = not_given,
    ) -> PageT:
        """List the models, newest first.

        Iterating over the result yields the models of all pages. That of `AsyncClient` may be
        awaited, for one page, or used in `async for`.

        Args:
            limit: Maximum number of models per page, 1 to 1000; default 20.
            after_id: Return models older than this one.
            before_id: Return models newer than this one.
            betas: Values of the header `anthropic-beta`.
            extra_headers: Additional headers; `omit` removes one of the client's.
            extra_query: Additional URL parameters.
            extra_body: Fields of a JSON body.
            timeout: Seconds, an `httpx2.Timeout`, or None for no limit; default: the client's.
        """
        headers = headers_of(betas, extra_headers)
        kind: type[SyncPage] | type[AsyncPage]
        kind = AsyncPage if isinstance(self._client, AsyncSender) else SyncPage

        def page_call(query: dict[str, Any]) -> Call[Any]:
            def parse(response: httpx2.Response, strict: bool) -> SyncPage | AsyncPage:
                page = parse_model(kind, response, strict)
                page._fetch = lambda change: self._client._parsed(page_call(query | change))
                page._backwards = bool(query.get("before_id"))
                return page

            return Call("GET", "/v1/models", parse, extra_body, headers, query, timeout)

        parameters = {"after_id": after_id, "before_id": before_id, "limit": limit}
        pages: PageT = self._send_list(page_call(fields_of(parameters, extra_query)))
        return pages

    @checked
    def retrieve(
        self,
        model_id: str,
        *,
        betas: Betas = omit,
        extra_headers: Mapping[str, str | Omit] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
        timeout: TimeoutSpec | NotGiven = not_given,
    ) -> InfoT:
        """Return one model.

        Args:
            model_id: Name of the model.
            betas: Values of the header `anthropic-beta`.
            extra_headers: Additional headers; `omit` removes one of the client's.
            extra_query: Additional URL parameters.
            extra_body: Fields of a JSON body.
            timeout: Seconds, an `httpx2.Timeout`, or None for no limit; default: the client's.

        Raises:
            ValueError: The name is empty, which would be the address of the list.
            NotFoundError: The server has no model of that name.
        """
        if not model_id:
            raise ValueError(f"Expected a non-empty value for `model_id` but received {model_id!r}")
        path = f"/v1/models/{quote(model_id, safe='/:')}"
        headers = headers_of(betas, extra_headers)
        parse = partial(parse_model, ModelInfo)
        info: InfoT = self._send(
            Call("GET", path, parse, extra_body, headers, extra_query, timeout)
        )
        return info

    def _send_list(self, call: Call[Any]) -> Any:
        return self._send(call)


class Models(BaseModels[SyncPage, ModelInfo]):
    """The models of the server."""

    @property
    def with_raw_response(self) -> ModelsWithRawResponse:
        """The same methods, returning a `RawResponse` with status and headers."""
        return ModelsWithRawResponse(self._client, self._client._raw)

    @property
    def with_streaming_response(self) -> ModelsWithStreamingResponse:
        """The same methods, returning a context manager with the unread response."""
        return ModelsWithStreamingResponse(self._client, self._client._streamed)


class ModelsWithRawResponse(BaseModels[RawResponse[SyncPage], RawResponse[ModelInfo]]):
    """`Models` whose methods return a `RawResponse`."""


class ModelsWithStreamingResponse(
    BaseModels[ResponseContextManager[SyncPage], ResponseContextManager[ModelInfo]]
):
    """`Models` whose methods send their requests when the `with` block begins."""


class AsyncModels(BaseModels[AsyncPaginator, Coroutine[Any, Any, ModelInfo]]):
    """The models of the server, to be awaited."""

    if not TYPE_CHECKING:
        retrieve = as_coroutine(BaseModels.retrieve)

    def _send_list(self, call: Call[Any]) -> AsyncPaginator:
        return AsyncPaginator(partial(self._send, call))

    @property
    def with_raw_response(self) -> AsyncModelsWithRawResponse:
        """The same methods, returning a `RawResponse` with status and headers."""
        return AsyncModelsWithRawResponse(self._client, self._client._raw)

    @property
    def with_streaming_response(self) -> AsyncModelsWithStreamingResponse:
        """The same methods, returning a context manager with the unread response."""
        return AsyncModelsWithStreamingResponse(self._client, self._client._streamed)


class AsyncModelsWithRawResponse(
    BaseModels[
        Coroutine[Any, Any, RawResponse[AsyncPage]], Coroutine[Any, Any, RawResponse[ModelInfo]]
    ]
):
    """`AsyncModels` whose methods return a `RawResponse`; its `parse` is not awaited."""

    if not TYPE_CHECKING:
        list = as_coroutine(BaseModels.list)
        retrieve = as_coroutine(BaseModels.retrieve)


class AsyncModelsWithStreamingResponse(
    BaseModels[AsyncResponseContextManager[AsyncPage], AsyncResponseContextManager[ModelInfo]]
):
    """`AsyncModels` whose methods send their requests when the `async with` block begins."""
