"""A completion as it is written."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx2

from tenuto.client.errors import (
    APIError,
    APIStatusError,
    IncompleteStreamError,
    error_of_event,
    error_of_transport,
)
from tenuto.client.parsing import parse_object
from tenuto.client.types import Completion
from tenuto.wire.event_source import EventSource

ItemT = TypeVar("ItemT", bound=Completion)


class StreamReader:
    """Bytes of a response in, pieces of its completion out. It does no input or output.

    Args:
        response: Where the bytes come from; for errors.
        strict: Whether a piece with wrong fields is an error.
    """

    def __init__(self, response: httpx2.Response, *, strict: bool) -> None:
        self._response = response
        self._strict = strict
        self._events = EventSource()
        self._texts: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._last: Completion | None = None
        self._error: APIError | None = None
        self.closed = False

    @property
    def complete(self) -> bool:
        """Whether the final event has come."""
        return self._last is not None and self._last.stop_reason is not None

    def push(self, data: bytes) -> list[Completion | APIError]:
        """The pieces that some bytes complete. An error is always the last of them."""
        items: list[Completion | APIError] = []
        try:
            for name, content in self._events.push(data):
                if name == "completion":
                    items.append(self._piece(content))
                elif name == "error":
                    items.append(error_of_event(self._response, content))
                    break
        except APIError as error:
            items.append(error)
        except ValueError as error:
            items.append(self._incomplete(f"{error}."))
        if items and isinstance(last := items[-1], APIError):
            self._error = last
        return items

    def end(self) -> list[Completion]:
        """Take the end of the response. Some servers leave out the blank line that ends it.

        Returns:
            The last piece, where only the blank line after it is missing.

        Raises:
            APIError: The response ended too early, or in an error.
        """
        if self.complete:
            return []
        rest = self.push(b"\n\n")
        if self.complete:
            return [item for item in rest if isinstance(item, Completion)]
        if isinstance(self._error, APIStatusError):
            raise self._error
        kind = self._response.headers.get("content-type", "none")
        if not kind.startswith("text/event-stream"):
            why = f"the answer is no stream, its content type is {kind}."
        else:
            why = (
                "the server or something before it closed the connection. The text may lack its "
                "end."
            )
        self._error = self._incomplete(why)
        raise self._error

    def broken(self, error: httpx2.HTTPError | httpx2.StreamError) -> APIError | None:
        """Return the error for a connection that broke, or a response that was read elsewhere.

        None if the final event had come: the completion is whole.
        """
        if self.closed or self.complete:
            return None
        self._error = error_of_transport(error, self._response.request)
        return self._error

    def final(self) -> Completion:
        """Return all pieces as one, when nothing more will come.

        Raises:
            APIError: The stream ended in an error, or was closed before its final event.
        """
        if self._error is not None:
            raise self._error
        if self._last is None or not self.complete:
            raise self._incomplete("it was closed here.")
        whole: dict[str, object] = {"completion": "".join(self._texts)}
        if self._logprobs:
            whole["logprobs"] = _joined(self._logprobs)
        return self._last.model_copy(update=whole)

    def _piece(self, content: str) -> Completion:
        piece = parse_object(Completion, content, self._response, self._strict)
        self._texts.append(piece.completion)
        # A server that gives them gives each piece its own.
        if piece.model_extra and isinstance(told := piece.model_extra.get("logprobs"), dict):
            self._logprobs.append(told)
        self._last = piece
        return piece

    def _incomplete(self, why: str) -> IncompleteStreamError:
        return IncompleteStreamError(self._response.request, text="".join(self._texts), why=why)


def _joined(logprobs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The lists of all pieces, each as one. What is no list stays as the last piece has it."""
    whole: dict[str, Any] = {}
    for told in logprobs:
        for name, value in told.items():
            before = whole.get(name)
            if isinstance(before, list) and isinstance(value, list):
                whole[name] = before + value
            else:
                whole[name] = value
    return whole


class Stream(Generic[ItemT]):
    """A completion as it is written: an iterator over its pieces, the last with a `stop_reason`.

    Closing it, leaving its `with` block, or dropping it cancels what is left, and frees the
    server's slot.

    Attributes:
        response: The response below.
    """

    response: httpx2.Response

    def __init__(self, response: httpx2.Response, *, strict: bool = False) -> None:
        self.response = response
        self._reader = StreamReader(response, strict=strict)
        # Without a reference to the stream, so that dropping the stream ends both at once.
        self._iterator: Generator[ItemT, None, None] = _items(response, self._reader)

    def __iter__(self) -> Iterator[ItemT]:
        return self._iterator

    def __next__(self) -> ItemT:
        return next(self._iterator)

    @property
    def text(self) -> Iterator[str]:
        """Only the text, piece by piece: `for text in stream.text: print(text, end="")`."""
        return (piece.completion for piece in self if piece.completion)

    def get_final_completion(self) -> ItemT:
        """Reads to the end; the whole text, also what was read before, and why it ends.

        Raises:
            APIError: The stream ended in an error, too early, or was closed before its end.
        """
        for _ in self:
            pass
        return self._reader.final()  # type: ignore[return-value]

    def close(self) -> None:
        """Cancels what is left: iterating ends. May be called again, and from another thread.

        A thread that waits for the next piece at this moment notices when it comes.
        """
        self._reader.closed = True
        self.response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncStream(Generic[ItemT]):
    """As `Stream`, for `async for` and `async with`."""

    response: httpx2.Response

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
        """Only the text: `async for text in stream.text: print(text, end="")`."""
        return (piece.completion async for piece in self if piece.completion)

    async def get_final_completion(self) -> ItemT:
        """See `Stream.get_final_completion`."""
        async for _ in self:
            pass
        return self._reader.final()  # type: ignore[return-value]

    async def close(self) -> None:
        """Cancels what is left: iterating ends. May be called again."""
        self._reader.closed = True
        await self.response.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _items(response: httpx2.Response, reader: StreamReader) -> Generator[Any, None, None]:
    try:
        for data in response.iter_bytes():
            if reader.closed:
                return
            for item in reader.push(data):
                if isinstance(item, APIError):
                    raise item
                if reader.closed:
                    return
                yield item
        if not reader.closed:
            for item in reader.end():
                yield item
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        if (failure := reader.broken(error)) is not None:
            raise failure from error
    finally:
        response.close()


async def _async_items(
    response: httpx2.Response, reader: StreamReader
) -> AsyncGenerator[Any, None]:
    try:
        async for data in response.aiter_bytes():
            if reader.closed:
                return
            for item in reader.push(data):
                if isinstance(item, APIError):
                    raise item
                if reader.closed:
                    return
                yield item
        if not reader.closed:
            for item in reader.end():
                yield item
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        if (failure := reader.broken(error)) is not None:
            raise failure from error
    finally:
        await response.aclose()
