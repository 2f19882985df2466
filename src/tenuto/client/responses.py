"""Response wrappers with status, headers and raw bytes, named as in the official package.

`with_raw_response` returns a `RawResponse`, whose body has been read unless it streams.
`with_streaming_response` yields an `APIResponse` or `AsyncAPIResponse`, whose body is read on
demand inside the `with` block.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any, Generic, TypeVar, overload

import httpx2

from tenuto.client.call import Call, parse_as
from tenuto.client.errors import StreamAlreadyConsumed
from tenuto.client.exchange import Success

T = TypeVar("T")
OtherT = TypeVar("OtherT")


class BaseResponse(Generic[T]):
    """Attributes common to all response wrappers.

    Attributes:
        http_response: The underlying response.
        retries_taken: Number of retries, 0 or more.
    """

    def __init__(self, success: Success, call: Call[T], *, strict: bool) -> None:
        self.http_response: httpx2.Response = success.response
        self.retries_taken: int = success.retries_taken
        self._call = call
        self._strict = strict
        self._parsed: dict[object, Any] = {}

    @property
    def headers(self) -> httpx2.Headers:
        return self.http_response.headers

    @property
    def status_code(self) -> int:
        return self.http_response.status_code

    @property
    def request_id(self) -> str | None:
        """The server's id of this request, as in its log."""
        name: str | None = self.http_response.headers.get("request-id")
        return name

    @property
    def http_request(self) -> httpx2.Request:
        return self.http_response.request

    @property
    def url(self) -> httpx2.URL:
        """The URL of the response, after redirects."""
        return self.http_response.url

    @property
    def method(self) -> str:
        return self.http_request.method

    @property
    def http_version(self) -> str:
        return self.http_response.http_version

    @property
    def elapsed(self) -> timedelta:
        """Time from sending the request to closing the response."""
        return self.http_response.elapsed

    @property
    def is_closed(self) -> bool:
        """Whether the body has been read to its end or closed."""
        return self.http_response.is_closed

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status_code} {self.http_response.reason_phrase}]>"

    def _parse(self, to: type[OtherT] | None) -> T | OtherT:
        if to not in self._parsed:
            if to is None:
                self._parsed[to] = self._call.parse(self.http_response, self._strict)
            else:
                self._parsed[to] = parse_as(to, self.http_response)
        parsed: T | OtherT = self._parsed[to]
        return parsed


class ParsedResponse(BaseResponse[T]):
    """A response whose `parse` is not awaited."""

    @overload
    def parse(self) -> T: ...

    @overload
    def parse(self, *, to: type[OtherT]) -> OtherT: ...

    def parse(self, *, to: type[OtherT] | None = None) -> T | OtherT:
        """Return the result of the call, or the body as another type.

        Raises:
            APIResponseValidationError: The body is not of that type.
        """
        if not self._call.stream or to is not None:
            self._load()
        return self._parse(to)

    def _load(self) -> object:
        """Read the body, if it is unread."""


class RawResponse(ParsedResponse[T]):
    """A response of either client; `LegacyAPIResponse` in the official package."""

    @property
    def text(self) -> str:
        return self.http_response.text

    @property
    def content(self) -> bytes:
        """The body, decompressed."""
        return self.http_response.content

    def json(self) -> object:
        """Decode the body as JSON. Raises `ValueError` if it is invalid."""
        return self.http_response.json()


class APIResponse(ParsedResponse[T]):
    """A response whose body is unread. `parse` reads it unless the call streams."""

    def _load(self) -> bytes:
        return self.read()

    def read(self) -> bytes:
        """Read the whole body.

        Raises:
            StreamAlreadyConsumed: The body was streamed before.
        """
        try:
            return self.http_response.read()
        except httpx2.StreamConsumed as error:
            raise StreamAlreadyConsumed from error

    def text(self) -> str:
        """Return the body as text."""
        self.read()
        return self.http_response.text

    def json(self) -> object:
        """Decode the body as JSON."""
        self.read()
        return self.http_response.json()

    def close(self) -> None:
        """Close the response, discarding the unread body."""
        self.http_response.close()

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yield the body as it arrives, decompressed."""
        return self.http_response.iter_bytes(chunk_size)

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        """Yield the body as it arrives, as text."""
        return self.http_response.iter_text(chunk_size)

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines of the body as they arrive, without line ends."""
        return self.http_response.iter_lines()


class AsyncAPIResponse(BaseResponse[T]):
    """`APIResponse` with methods to be awaited."""

    @overload
    async def parse(self) -> T: ...

    @overload
    async def parse(self, *, to: type[OtherT]) -> OtherT: ...

    async def parse(self, *, to: type[OtherT] | None = None) -> T | OtherT:
        """See `APIResponse.parse`."""
        if not self._call.stream or to is not None:
            await self.read()
        return self._parse(to)

    async def read(self) -> bytes:
        """See `APIResponse.read`."""
        try:
            return await self.http_response.aread()
        except httpx2.StreamConsumed as error:
            raise StreamAlreadyConsumed from error

    async def text(self) -> str:
        """Return the body as text."""
        await self.read()
        return self.http_response.text

    async def json(self) -> object:
        """Decode the body as JSON."""
        await self.read()
        return self.http_response.json()

    async def close(self) -> None:
        """Close the response, discarding the unread body."""
        await self.http_response.aclose()

    def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, decompressed."""
        return self.http_response.aiter_bytes(chunk_size)

    def iter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        """Yield the body as it arrives, as text."""
        return self.http_response.aiter_text(chunk_size)

    def iter_lines(self) -> AsyncIterator[str]:
        """Yield the lines of the body as they arrive, without line ends."""
        return self.http_response.aiter_lines()


class ResponseContextManager(Generic[T]):
    """Result of `with_streaming_response`; entering it sends the request."""

    def __init__(self, send: Callable[[], APIResponse[T]]) -> None:
        self._send = send
        self._response: APIResponse[T] | None = None

    def __enter__(self) -> APIResponse[T]:
        self._response = self._send()
        return self._response

    def __exit__(self, *exc_info: object) -> None:
        if self._response is not None:
            self._response.close()


class AsyncResponseContextManager(Generic[T]):
    """`ResponseContextManager` for `async with`."""

    def __init__(self, send: Callable[[], Coroutine[Any, Any, AsyncAPIResponse[T]]]) -> None:
        self._send = send
        self._response: AsyncAPIResponse[T] | None = None

    async def __aenter__(self) -> AsyncAPIResponse[T]:
        self._response = await self._send()
        return self._response

    async def __aexit__(self, *exc_info: object) -> None:
        if self._response is not None:
            await self._response.close()
