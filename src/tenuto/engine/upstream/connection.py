"""Requests to a server behind this one, and what it means when they fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import time
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

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
        self._draining: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Closes all of them, also those in use."""
        for task in self._draining:
            task.cancel()
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def post(
        self, path: str, body: dict[str, Any], headers: Mapping[str, str]
    ) -> AsyncGenerator[Answer, None]:
        """Sends a request. Leaving the block closes the connection, unless the answer is whole.

        Args:
            path: Below the base URL.
            body: What is sent as JSON.
            headers: On top of those that every request has.

        Raises:
            UpstreamError: There is no answer, or it is an error.
        """
        response: aiohttp.ClientResponse | None = None
        answer: Answer | None = None
        try:
            response = await self._sent(path, body, headers)
            if response.status >= 300:
                raise await self._error(response)
            answer = Answer(response)
            yield answer
        except UpstreamError as error:
            self._log(error, response)
            raise
        finally:
            if response is not None and answer is not None and answer.whole:
                self._give_back(response)
            elif response is not None:
                response.close()  # The server notices at once.

    async def _sent(
        self, path: str, body: dict[str, Any], headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        # Lone surrogates, which JSON can carry and UTF-8 cannot, become question marks.
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        url = self.address.base_url + path
        session = self._session or self._opened()
        try:
            return await session.post(url, data=data, headers=headers, allow_redirects=False)
        except TimeoutError:
            raise UpstreamError(SLOW, status=504, retryable=True) from None
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

    def _give_back(self, response: aiohttp.ClientResponse) -> None:
        """Lets the last bytes of an answer come, which say nothing more, to keep its connection."""
        if not response.content.is_eof():
            task = asyncio.create_task(_drain(response))
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)

    async def _error(self, response: aiohttp.ClientResponse) -> UpstreamError:
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
            forwards_key=self.address.forwards_key,
        )

    def _log(self, error: UpstreamError, response: aiohttp.ClientResponse | None) -> None:
        """What went wrong, without the words of the server, which may quote the prompt."""
        headers: Mapping[str, str] = response.headers if response is not None else {}
        _log.warning(
            "upstream %s: status %s, %s, its request id %s",
            self.address.name,
            response.status if response is not None else "none",
            type(error.__cause__).__name__ if error.__cause__ else f"given on as {error.status}",
            headers.get("request-id") or headers.get("x-request-id") or "-",
        )


class Answer:
    """An answer whose body is still to come.

    Attributes:
        whole: Set by the reader when it needs no more of it.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.whole = False

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
        """
        content = self._response.content
        try:
            while data := await content.readany():
                yield data
        except TimeoutError:
            raise UpstreamError(SLOW, status=504, retryable=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(BROKE_OFF, status=500, retryable=True) from error


async def _drain(response: aiohttp.ClientResponse) -> None:
    try:
        async with asyncio.timeout(_DRAIN_S):
            while await response.content.readany():
                pass
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    finally:
        response.close()


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address, as all programs look it up."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return None if proxy_bypass(host) else getproxies().get(parts.scheme)


def _sensible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and 0 <= seconds <= _MAX_RETRY_AFTER_S else None
