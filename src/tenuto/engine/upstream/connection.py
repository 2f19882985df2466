"""Requests to a server behind this one, and what it means when they fail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from time import time
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from pydantic_core import to_json
from yarl import URL

from tenuto.engine.base import Job, UpstreamError
from tenuto.engine.upstream.failures import (
    BROKE_OFF,
    GARBAGE,
    SLOW,
    UNREACHABLE,
    error_of_status,
    json_object,
    message_in,
)
from tenuto.engine.upstream.shutdown import Shutdown
from tenuto.version import __version__
from tenuto.wire.backoff import retry_after_s

_log = logging.getLogger("tenuto.upstream")

_MAX_ERROR_BYTES: Final = 64 * 1024
_MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
_MAX_RETRY_AFTER_S: Final = 3600.0
# How long the words of an error may take after its status.
_ERROR_S: Final = 5.0
# How long the end of an answer may take after its last event.
_DRAIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and how long to wait for it.

    Attributes:
        name: What it is called in the settings and the log.
        base_url: Without `/v1`.
        connect_timeout_s: Longest wait for a connection.
        read_timeout_s: Longest silence, before an answer and in the middle of it.
        key: The key that is sent, or None.
        forwards_key: Send the caller's own key instead. A refusal of it is then its business.
    """

    name: str
    base_url: str
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 300.0
    key: str | None = field(default=None, repr=False)
    forwards_key: bool = False

    def key_for(self, job: Job) -> str | None:
        """The key to send with a job."""
        return job.key if self.forwards_key else self.key


class Connection:
    """Connections to one server. They are opened when they are needed, and kept."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, URL] = {}
        self._draining: set[asyncio.Task[None]] = set()
        self.shutdown = Shutdown()

    async def aclose(self) -> None:
        """Close all connections. Waits for an answer end with `EngineFailed`."""
        self.shutdown.begin()
        for task in self._draining:
            task.cancel()
        if self._session is not None:
            await self._session.close()

    def post(self, path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Answer:
        """The answer to a request, which is sent when its `async with` begins.

        Args:
            path: Below the base URL.
            body: What is sent as JSON.
            headers: On top of those that every request has.
        """
        return Answer(self, path, to_json(body), headers)

    async def send(
        self, path: str, data: bytes, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """Sends a request, and waits for the head of its answer.

        Raises:
            UpstreamError: There is none.
            EngineFailed: The connections are being closed.
        """
        # Of an object, it is not parsed again.
        url = self._urls.get(path) or self._urls.setdefault(path, URL(self.address.base_url + path))
        try:
            with self.shutdown.interruptible():
                session = self._session or self._opened()
                return await session.post(url, data=data, headers=headers, allow_redirects=False)
        except TimeoutError as error:
            raise UpstreamError(SLOW, status=504, retryable=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(UNREACHABLE, status=500, retryable=True) from error

    def _opened(self) -> aiohttp.ClientSession:
        address = self.address
        self._session = aiohttp.ClientSession(
            # Its own limit would let the hundred-and-first stream wait.
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # Looked up once: aiohttp's `trust_env` does so for every request, and reads .netrc.
            proxy=_proxy_for(address.base_url),
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=address.connect_timeout_s,
                sock_read=address.read_timeout_s,
            ),
            headers={
                "accept-encoding": "identity",
                "content-type": "application/json",
                "user-agent": f"Tenuto/{__version__}",
            },
        )
        return self._session

    def give_back(self, response: aiohttp.ClientResponse) -> None:
        """Lets the last bytes of an answer come, which say nothing more, to keep its connection."""
        task = asyncio.create_task(_drain(response))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)
        # Not by the task itself: one that is cancelled before its first step does nothing.
        task.add_done_callback(lambda _: response.close())


class Answer:
    """An answer to come. Leaving its block closes the connection, unless it was read whole.

    Attributes:
        whole: Set by the reader when it needs no more of it.

    Raises:
        UpstreamError: On entering: there is no answer, or it is an error.
    """

    def __init__(
        self, connection: Connection, path: str, data: bytes, headers: Mapping[str, str]
    ) -> None:
        self._connection = connection
        self._asked = path, data, headers
        self._response: aiohttp.ClientResponse | None = None
        self.whole = False

    async def __aenter__(self) -> Answer:
        try:
            self._response = await self._connection.send(*self._asked)
            if self._response.status >= 300:
                address = self._connection.address
                with self._connection.shutdown.interruptible():
                    raise await _error(self._response, forwards_key=address.forwards_key)
        except BaseException as error:
            self._end(error)
            raise
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        response = self._response
        if isinstance(error, UpstreamError):
            _report(self._connection.address.name, error, response)
        if response is not None and self.whole and not response.content.is_eof():
            self._connection.give_back(response)
        elif response is not None:
            # Does nothing where it went back to the pool; otherwise the server notices at once.
            response.close()

    async def json(self) -> dict[str, Any]:
        """The whole body, a JSON object.

        Raises:
            UpstreamError: It does not come, or is something else.
        """
        data = bytearray()
        async for chunk in self.chunks():
            data += chunk
            if len(data) > _MAX_ANSWER_BYTES:
                raise UpstreamError(GARBAGE, status=500, retryable=True)
        return json_object(bytes(data))

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, all that is there at a time.

        Raises:
            UpstreamError: It stops coming.
            EngineFailed: The connections are being closed.
        """
        assert self._response is not None
        content = self._response.content
        shutdown = self._connection.shutdown
        try:
            while True:
                with shutdown.interruptible():
                    data = await content.readany()
                if not data:
                    return
                yield data
        except TimeoutError:
            raise UpstreamError(SLOW, status=504, retryable=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(BROKE_OFF, status=500, retryable=True) from error


async def _error(response: aiohttp.ClientResponse, *, forwards_key: bool) -> UpstreamError:
    """The error that an answer stands for."""
    text = b""
    # Without its text, its status says enough.
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_ERROR_S):
            while len(text) < _MAX_ERROR_BYTES and (data := await response.content.readany()):
                text += data
    return error_of_status(
        response.status,
        message_in(text),
        retry_after=_sensible(retry_after_s(response.headers, time())),
        forwards_key=forwards_key,
    )


def _report(name: str, error: UpstreamError, response: aiohttp.ClientResponse | None) -> None:
    """Logs what went wrong, without the words of the server, which may quote the prompt."""
    headers: Mapping[str, str] = response.headers if response is not None else {}
    _log.warning(
        "upstream %s: status %s, %s, its request id %s",
        name,
        response.status if response is not None else "none",
        type(error.__cause__).__name__ if error.__cause__ else f"given on as {error.status}",
        headers.get("request-id") or headers.get("x-request-id") or "-",
    )


async def _drain(response: aiohttp.ClientResponse) -> None:
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_DRAIN_S):
            while await response.content.readany():
                pass


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address, as all programs look it up."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return None if proxy_bypass(host) else getproxies().get(parts.scheme)


def _sensible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and 0 <= seconds <= _MAX_RETRY_AFTER_S else None
