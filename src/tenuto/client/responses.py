"""Answers with all that came with them: status, headers, raw bytes.

`with_raw_response` gives a `RawResponse`, read whole unless it streams; `with_streaming_response`
gives an `APIResponse` or `AsyncAPIResponse` whose body is read when it is asked for, inside a
`with` block. Their names and attributes are those of the official package.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import timedelta
from types import TracebackType
from typing import Any, Generic, TypeVar, overload

import httpx2

from tenuto.client.call import Call, parse_as
from tenuto.client.errors import StreamAlreadyConsumed
from tenuto.client.exchange import Answer

T = TypeVar("T")
OtherT = TypeVar("OtherT")


class BaseResponse(Generic[T]):
    """What all of them have.

    Attributes:
        http_response: The response below.
        retries_taken: How often it had to be asked for again.
    """

    http_response: httpx2.Response
    retries_taken: int

    def __init__(self, answer: Answer, call: Call[T], *, strict: bool) -> None:
        self.http_response = answer.response
        self.retries_taken = answer.retries_taken
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
        """What the server calls this request."""
        name: str | None = self.http_response.headers.get("request-id")
        return name

    @property
    def http_request(self) -> httpx2.Request:
        return self.http_response.request

    @property
    def url(self) -> httpx2.URL:
        """Where the answer came from."""
        return self.http_response.url

    @property
    def method(self) -> str:
        return self.http_request.method

    @property
    def http_version(self) -> str:
        return self.http_response.http_version

    @property
    def elapsed(self) -> timedelta:
        """From sending the request to the end of the answer."""
        return self.http_response.elapsed

    @property
    def is_closed(self) -> bool:
        """Whether the body has been read whole, or given up."""
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


class RawResponse(BaseResponse[T]):
    """An answer of either client, called `LegacyAPIResponse` in the official package."""

    @overload
    def parse(self) -> T: ...

    @overload
    def parse(self, *, to: type[OtherT]) -> OtherT: ...

    def parse(self, *, to: type[OtherT] | None = None) -> T | OtherT:
        """What the call would have returned; or the body as another type.

        Raises:
            APIResponseValidationError: The body is nothing of the kind.
        """
        return self._parse(to)

    @property
    def text(self) -> str:
        return self.http_response.text

    @property
    def content(self) -> bytes:
        """The body, decompressed."""
        return self.http_response.content

    def json(self) -> object:
        """The body, decoded. Raises `ValueError` if it is no JSON."""
        return self.http_response.json()


class APIResponse(BaseResponse[T]):
    """An answer whose body is still to come."""

    @overload
    def parse(self) -> T: ...

    @overload
    def parse(self, *, to: type[OtherT]) -> OtherT: ...

    def parse(self, *, to: type[OtherT] | None = None) -> T | OtherT:
        """See `RawResponse.parse`. Reads the body, unless the call streams."""
        if not self._call.stream or to is not None:
            self.read()
        return self._parse(to)

    def read(self) -> bytes:
        """Reads the body whole.

        Raises:
            StreamAlreadyConsumed: It was streamed before.
        """
        try:
            return self.http_response.read()
        except httpx2.StreamConsumed as error:
            raise StreamAlreadyConsumed from error

    def text(self) -> str:
        """The body as text."""
        self.read()
        return self.http_response.text

    def json(self) -> object:
        """The body, decoded."""
        self.read()
        return self.http_response.json()

    def close(self) -> None:
        """Gives up what is left of the body."""
        self.http_response.close()

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The body as it comes, decompressed."""
        return self.http_response.iter_bytes(chunk_size)

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        """The body as it comes, as text."""
        return self.http_response.iter_text(chunk_size)

    def iter_lines(self) -> Iterator[str]:
        """The body as it comes, line by line, without line ends."""
        return self.http_response.iter_lines()


class AsyncAPIResponse(BaseResponse[T]):
    """As `APIResponse`, to be awaited."""

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
        """The body as text."""
        await self.read()
        return self.http_response.text

    async def json(self) -> object:
        """The body, decoded."""
        await self.read()
        return self.http_response.json()

    async def close(self) -> None:
        """Gives up what is left of the body."""
        await self.http_response.aclose()

    def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """The body as it comes, decompressed."""
        return self.http_response.aiter_bytes(chunk_size)

    def iter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        """The body as it comes, as text."""
        return self.http_response.aiter_text(chunk_size)

    def iter_lines(self) -> AsyncIterator[str]:
        """The body as it comes, line by line, without line ends."""
        return self.http_response.aiter_lines()


class ResponseContextManager(Generic[T]):
    """What `with_streaming_response` returns: the request is sent by entering it."""

    def __init__(self, send: Callable[[], APIResponse[T]]) -> None:
        self._send = send
        self._response: APIResponse[T] | None = None

    def __enter__(self) -> APIResponse[T]:
        self._response = self._send()
        return self._response

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._response is not None:
            self._response.close()


class AsyncResponseContextManager(Generic[T]):
    """As `ResponseContextManager`, for `async with`."""

    def __init__(self, send: Callable[[], Coroutine[Any, Any, AsyncAPIResponse[T]]]) -> None:
        self._send = send
        self._response: AsyncAPIResponse[T] | None = None

    async def __aenter__(self) -> AsyncAPIResponse[T]:
        self._response = await self._send()
        return self._response

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._response is not None:
            await self._response.close()
