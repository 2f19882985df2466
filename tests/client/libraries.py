"""The two libraries that must behave alike: ours, and the last official one with `completions`."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import ModuleType
from typing import Any

import anthropic
import httpx
import httpx2

import tenuto

Handler = Callable[[Any], Any]


class Library:
    """One of them, with the HTTP library below it."""

    def __init__(self, module: ModuleType, http: ModuleType) -> None:
        self.module: Any = module
        self.http: Any = http

    def __repr__(self) -> str:
        return str(self.module.__name__)

    def client(self, handler: Handler, **options: Any) -> Any:
        """A client whose requests a function answers."""
        transport = self.http.MockTransport(handler)
        http_client = self.http.Client(transport=transport)
        return self.module.Anthropic(**_defaults(options), http_client=http_client)

    def async_client(self, handler: Handler, **options: Any) -> Any:
        async def answer(request: Any) -> Any:
            result = handler(request)
            return await result if inspect.isawaitable(result) else result

        transport = self.http.MockTransport(answer)
        http_client = self.http.AsyncClient(transport=transport)
        return self.module.AsyncAnthropic(**_defaults(options), http_client=http_client)

    def answer(self, body: object, status: int = 200, **headers: str) -> Any:
        """A response with a JSON body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.Response(status, json=body, headers={"request-id": "req_1"} | named)

    def stream(self, *chunks: bytes | Exception, status: int = 200) -> Any:
        """A response whose body arrives in pieces; its `body` records whether it was closed."""
        headers = {"content-type": "text/event-stream", "request-id": "req_1"}
        body = _body(self.http, chunks)
        response = self.http.Response(status, headers=headers, stream=body)
        response.body = body
        return response


class Dual:
    """Wrapper that runs the same test on the blocking and the asynchronous client.

    Its methods do what a caller would write, with `await` where the client needs it.
    """

    def __init__(self, library: Library, *, awaited: bool) -> None:
        self.library = library
        self.awaited = awaited

    def __repr__(self) -> str:
        return f"{self.library}-{'async' if self.awaited else 'sync'}"

    def client(self, handler: Handler, **options: Any) -> Any:
        make = self.library.async_client if self.awaited else self.library.client
        return make(handler, **options)

    async def got(self, value: Any) -> Any:
        """Return the result of a call, awaited if necessary."""
        return await value if inspect.isawaitable(value) else value

    async def items(self, stream: Any) -> list[Any]:
        """Everything in a stream or an iterator."""
        if hasattr(stream, "__aiter__"):
            return [item async for item in stream]
        return list(stream)

    async def create(self, client: Any, **fields: Any) -> Any:
        return await self.got(client.completions.create(**ASK | fields))

    async def inside(self, manager: Any, then: Callable[[Any], Awaitable[Any]]) -> Any:
        """Enters a context manager, and does something in it."""
        if self.awaited:
            async with manager as entered:
                return await then(entered)
        with manager as entered:
            return await then(entered)

    async def close(self, closable: Any) -> None:
        await self.got(closable.close())


OURS = Library(tenuto, httpx2)
THEIRS = Library(anthropic, httpx)
LIBRARIES = (OURS, THEIRS)
DUALS = tuple(Dual(library, awaited=awaited) for library in LIBRARIES for awaited in (False, True))

PROMPT = "\n\nHuman: Hello\n\nAssistant:"
ASK: dict[str, Any] = {"model": "tenuto-mini", "prompt": PROMPT, "max_tokens_to_sample": 5}
PIECE = {"type": "completion", "id": "compl_1", "model": "tenuto-mini", "log_id": "compl_1"}
WHOLE = PIECE | {"completion": " Hello!", "stop_reason": "stop_sequence", "stop": "\n\nHuman:"}


def event(name: str, body: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(body)}\n\n".encode()


def piece(text: str, reason: str | None = None) -> bytes:
    stop = "\n\nHuman:" if reason == "stop_sequence" else None
    return event("completion", PIECE | {"completion": text, "stop_reason": reason, "stop": stop})


PING = event("ping", {"type": "ping"})
LAST = piece("", "stop_sequence")


def _defaults(options: dict[str, Any]) -> dict[str, Any]:
    return {"api_key": "sk-test", "base_url": "http://api.test", "max_retries": 0} | options


def _body(http: Any, chunks: tuple[bytes | Exception, ...]) -> Any:
    class Body(http.SyncByteStream, http.AsyncByteStream):  # type: ignore[misc]
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            for chunk in chunks:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self:
                yield chunk

        def close(self) -> None:
            self.closed = True

        async def aclose(self) -> None:
            self.closed = True

    return Body()
