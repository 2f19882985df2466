"""Iterators over a completion that is being generated."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, Generic, Self, TypeVar

import httpx2

from tenuto.client.stream_reader import StreamReader
from tenuto.client.types import Completion

ItemT = TypeVar("ItemT", bound=Completion)


class Stream(Generic[ItemT]):
    """An iterator over the pieces of a completion; the last has a `stop_reason`.

    Closing it, leaving its `with` block or dropping it cancels the rest of the completion and frees
    the server's slot. `response` is the underlying response.
    """

    def __init__(self, response: httpx2.Response, *, strict: bool = False) -> None:
        self.response = response
        self._reader = StreamReader(response, strict=strict)
        # Holds no reference to the stream, so that dropping the stream closes the response.
        self._iterator: Generator[ItemT, None, None] = _items(response, self._reader)

    def __iter__(self) -> Iterator[ItemT]:
        return self._iterator

    def __next__(self) -> ItemT:
        return next(self._iterator)

    @property
    def text(self) -> Iterator[str]:
        """The text without empty pieces: `for text in stream.text: print(text, end="")`."""
        return (piece.completion for piece in self if piece.completion)

    def get_final_completion(self) -> ItemT:
        """Read to the end, and return all pieces joined, including those read before.

        Raises:
            APIError: The stream ended in an error, or was closed before its final event.
        """
        for _ in self:
            pass
        return self._reader.final()  # type: ignore[return-value]

    def close(self) -> None:
        """Cancel the rest, and end the iteration. Idempotent and thread-safe.

        A thread blocked on the next piece returns when that arrives.
        """
        self._reader.closed = True
        self.response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncStream(Generic[ItemT]):
    """`Stream` for `async for` and `async with`."""

    def __init__(self, response: httpx2.Response, *, strict: bool = False) -> None:
        self.response = response
        self._reader = StreamReader(response, strict=strict)
        self._iterator: AsyncGenerator[ItemT, None] = _async_items(response, self._reader)

    def __aiter__(self) -> AsyncIterator[ItemT]:
        return self._iterator

    async def __anext__(self) -> ItemT:
        return await anext(self._iterator)

    @property
    def text(self) -> AsyncIterator[str]:
        """The text without empty pieces: `async for text in stream.text: ...`."""
        return (piece.completion async for piece in self if piece.completion)

    async def get_final_completion(self) -> ItemT:
        """See `Stream.get_final_completion`."""
        async for _ in self:
            pass
        return self._reader.final()  # type: ignore[return-value]

    async def close(self) -> None:
        """Cancel the rest, and end the iteration. Idempotent."""
        self._reader.closed = True
        await self.response.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


def _items(response: httpx2.Response, reader: StreamReader) -> Generator[Any, None, None]:
    try:
        with reader.transport_errors():
            for data in response.iter_bytes():
                yield from reader.pieces(data)
                if reader.closed:
                    return
            yield from reader.end()
    finally:
        response.close()


async def _async_items(
    response: httpx2.Response, reader: StreamReader
) -> AsyncGenerator[Any, None]:
    try:
        with reader.transport_errors():
            async for data in response.aiter_bytes():
                for item in reader.pieces(data):
                    yield item
                if reader.closed:
                    return
            for item in reader.end():
                yield item
    finally:
        await response.aclose()
