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

from tenuto.client.call import parse_object
from tenuto.client.errors import (
    APIError,
    IncompleteStreamError,
    error_of_event,
    error_of_transport,
)
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
        return items

    def end(self) -> None:
        """The response has ended.

        Raises:
            IncompleteStreamError: It ended too early.
        """
        if self._last is not None and self._last.stop_reason is not None:
            return
        kind = self._response.headers.get("content-type", "none")
        if not kind.startswith("text/event-stream"):
            raise self._incomplete(f"the answer is no stream, its content type is {kind}.")
        raise self._incomplete(
            "the server or something before it closed the connection. The text may lack its end."
        )

    def broken(self, error: httpx2.HTTPError | httpx2.StreamError) -> APIError:
        """The error for a connection that broke, or a response that somebody else has read."""
        return error_of_transport(error, self._response.request)

    def final(self) -> Completion:
        """All pieces as one, when the stream is at its end."""
        assert self._last is not None
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

    Closing it, leaving its `with` block, or forgetting it cancels what is left, and frees the
    server's slot.

    Attributes:
        response: The response below.
    """

    response: httpx2.Response

    def __init__(self, response: httpx2.Response, *, strict: bool = False) -> None:
        self.response = response
        self._reader = StreamReader(response, strict=strict)
        self._iterator = self._items()
        self._closed = False

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
            APIError: The stream ended in an error, or too early.
        """
        for _ in self:
            pass
        return self._reader.final()  # type: ignore[return-value]

    def close(self) -> None:
        """Cancels what is left: iterating ends. May be called again, and from another thread.

        A thread that waits for the next piece at this moment notices when it comes.
        """
        self._closed = True
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

    def _items(self) -> Generator[ItemT, None, None]:
        reader = self._reader
        try:
            for data in self.response.iter_bytes():
                for item in reader.push(data):
                    if isinstance(item, APIError):
                        raise item
                    if self._closed:
                        return
                    yield item  # type: ignore[misc]
            if not self._closed:
                reader.end()
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            if not self._closed:
                raise reader.broken(error) from error
        finally:
            self.response.close()


class AsyncStream(Generic[ItemT]):
    """As `Stream`, for `async for` and `async with`."""

    response: httpx2.Response

    def __init__(self, response: httpx2.Response, *, strict: bool = False) -> None:
        self.response = response
        self._reader = StreamReader(response, strict=strict)
        self._iterator = self._items()
        self._closed = False

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
        self._closed = True
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

    async def _items(self) -> AsyncGenerator[ItemT, None]:
        reader = self._reader
        try:
            async for data in self.response.aiter_bytes():
                for item in reader.push(data):
                    if isinstance(item, APIError):
                        raise item
                    if self._closed:
                        return
                    yield item  # type: ignore[misc]
            if not self._closed:
                reader.end()
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            if not self._closed:
                raise reader.broken(error) from error
        finally:
            await self.response.aclose()
