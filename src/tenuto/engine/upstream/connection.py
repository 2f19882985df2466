"""Requests to a server behind this one, and the bytes of its answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from tenuto.core.job import Job
from tenuto.core.refusal import failed
from tenuto.engine.upstream.decoding import Decoder, NotReadable, decoder_for
from tenuto.engine.upstream.failures import (
    SLOW,
    UNREACHABLE,
    UpstreamError,
    Whose,
    broke_off,
    error_of_response,
    garbage,
    misconfigured,
)
from tenuto.engine.upstream.proxies import proxy_for
from tenuto.engine.upstream.shutdown import SHUTTING_DOWN, Shutdown
from tenuto.version import __version__
from tenuto.wire.backoff import retry_after_s
from tenuto.wire.errors import status_of

_log = logging.getLogger("tenuto.upstream")

_MAX_ERROR_BYTES: Final = 64 * 1024
_MAX_RETRY_AFTER_S: Final = 3600.0
# How long the words of an error may take after its status.
_ERROR_S: Final = 5.0
# How long the end of an answer may take after its last event.
_DRAIN_S: Final = 1.0
_DRAIN_BYTES: Final = 256 * 1024
_LOGGED: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and how long to wait for it.

    Attributes:
        name: What it is called in the settings and the log.
        base_url: What the paths of its API are put behind, with its version.
        connect_timeout_s: Longest wait for a connection, the look-up of its name included.
        read_timeout_s: Longest silence, before an answer and in the middle of it.
        key: The key that is sent, or None.
        forwards_key: Send the caller's own key instead. A refusal of it is then its business.
        basic_auth: `user:password` for HTTP basic authentication, or None.
    """

    name: str
    base_url: str
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 300.0
    key: str | None = field(default=None, repr=False)
    forwards_key: bool = False
    basic_auth: str | None = field(default=None, repr=False)

    def key_for(self, job: Job) -> str | None:
        """The key to send with a job.

        Raises:
            UpstreamError: The caller's key cannot stand in a header.
        """
        if not self.forwards_key:
            return self.key
        key = job.caller.key.strip() if job.caller.key is not None else None
        if key and not (key.isascii() and key.isprintable()):
            raise UpstreamError("x-api-key: a key has printable ASCII characters only", status=401)
        return key

    def whose(self) -> Whose:
        """What this server's errors are judged by."""
        parts = urlsplit(self.base_url)
        hidden = (self.key, self.basic_auth, parts.netloc, parts.hostname)
        return Whose(self.forwards_key, tuple(text for text in hidden if text))


class _Connector(aiohttp.TCPConnector):
    """Notes which tasks it opens a connection for, and does not give a kept one."""

    def __init__(self) -> None:
        # Its own limit would let the hundred-and-first stream wait.
        super().__init__(limit=0)
        self.opened: set[asyncio.Task[Any] | None] = set()

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        self.opened.add(asyncio.current_task())
        return await super()._create_connection(req, traces, timeout)


class Connection:
    """Connections to one server. They are opened when they are needed, and kept.

    Raises:
        ModelError: The environment names a proxy that cannot be used.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.whose: Whose = address.whose()
        self.shutdown: Shutdown = Shutdown()
        # Looked up once: aiohttp's `trust_env` does so for every request, and reads .netrc.
        self._proxy = proxy_for(address.base_url)
        self._connector: _Connector | None = None
        self._session: aiohttp.ClientSession | None = None
        self._unpooled: aiohttp.ClientSession | None = None
        self._urls: dict[str, URL] = {}
        self._draining: set[asyncio.Task[None]] = set()
        self.reading: set[aiohttp.StreamReader] = set()

    async def aclose(self) -> None:
        """Close all connections. Waits for an answer end with `Refusal`."""
        self.shutdown.begin()
        for content in self.reading:
            # Cheaper than to make each read interruptible. The library itself leaves readers
            # waiting when their connection is closed here.
            content.set_exception(failed(SHUTTING_DOWN))
        for task in self._draining:
            task.cancel()
        for session in (self._session, self._unpooled):
            if session is not None:
                await session.close()

    def post(self, path: str, data: Sequence[bytes], headers: Mapping[str, str]) -> Answer:
        """The answer to a request, which is sent when its `async with` begins.

        Args:
            path: Below the base URL.
            data: What is sent, in parts.
            headers: On top of those that every request has.
        """
        return Answer(self, path, data, headers)

    async def send(
        self, path: str, data: Sequence[bytes], headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """Sends a request, and waits for the head of its answer.

        Raises:
            UpstreamError: There is none.
            Refusal: The connections are being closed.
        """
        # Of an object, it is not parsed again.
        url = self._urls.get(path) or self._urls.setdefault(path, URL(self.address.base_url + path))
        try:
            with self.shutdown.interruptible():
                return await self._send(url, data, headers)
        except TimeoutError as error:
            raise UpstreamError(SLOW, status=504, again=True) from error
        except aiohttp.ClientHttpProxyError as error:
            raise UpstreamError(UNREACHABLE, status=500, again=True) from error
        except aiohttp.ClientResponseError as error:
            raise garbage() from error  # Not HTTP.
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(UNREACHABLE, status=500, again=True) from error
        except ValueError as error:
            # A name or a header that the library refuses.
            raise misconfigured(UNREACHABLE) from error

    async def _send(
        self, url: URL, data: Sequence[bytes], headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        if len(data) > 1:
            # The library takes no length from a body that comes in parts.
            headers = {**headers, "content-length": str(sum(map(len, data)))}
        session = self._session or self._opened()
        assert self._connector is not None
        opened, task = self._connector.opened, asyncio.current_task()
        try:
            return await session.post(url, data=_body(data), headers=headers, allow_redirects=False)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            # A kept connection that the server closed meanwhile says nothing of the server. It
            # has not answered, so the request may be sent again; once, and not on a kept one.
            if task in opened or _has_begun(error):
                raise
        finally:
            opened.discard(task)
        session = self._unpooled or self._opened_unpooled()
        return await session.post(url, data=_body(data), headers=headers, allow_redirects=False)

    def _opened(self) -> aiohttp.ClientSession:
        self._connector = _Connector()
        self._session = self._new_session(self._connector)
        return self._session

    def _opened_unpooled(self) -> aiohttp.ClientSession:
        self._unpooled = self._new_session(aiohttp.TCPConnector(limit=0, force_close=True))
        return self._unpooled

    def _new_session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        address = self.address
        headers = {
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": f"Tenuto/{__version__}",
        }
        if address.basic_auth is not None:
            text = b64encode(address.basic_auth.encode()).decode()
            headers["authorization"] = f"Basic {text}"
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            proxy=self._proxy.url if self._proxy is not None else None,
            timeout=aiohttp.ClientTimeout(
                total=None,
                # The whole way to a connection: the look-up of the name, and each of its addresses.
                connect=address.connect_timeout_s,
                sock_connect=address.connect_timeout_s,
                sock_read=address.read_timeout_s,
            ),
            headers=headers,
        )

    def give_back(self, response: aiohttp.ClientResponse) -> None:
        """Lets the last bytes of an answer come, which say nothing more, to keep its connection."""
        task = asyncio.create_task(_drain(response))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)
        # Not by the task itself: one that is cancelled before its first step does nothing.
        task.add_done_callback(lambda _: response.close())

    def report(self, error: UpstreamError, response: aiohttp.ClientResponse | None) -> None:
        """Log what went wrong, without the upstream's words, which may quote the prompt."""
        headers: Mapping[str, str] = response.headers if response is not None else {}
        cause = error.__cause__
        about = type(cause).__name__ if cause else f"given on as {status_of(error.kind)}"
        if cause is not None and self._proxy is not None:
            about += f", through the proxy of {self._proxy.variable}"
        if response is not None and 300 <= response.status < 400:
            about += f", a redirect to {_host(headers.get('location', ''))}"
        request_id = headers.get("request-id") or headers.get("x-request-id") or ""
        _log.warning(
            "upstream %s: status %s, %s, its request id %s",
            self.address.name,
            response.status if response is not None else "none",
            about,
            request_id if _LOGGED.fullmatch(request_id) else "-",
        )


class Answer:
    """An answer to come. Leaving its block closes the connection, unless it was read whole.

    Attributes:
        whole: Set by the reader when it needs no more of it.
        whose: What an error in it is judged by.

    Raises:
        UpstreamError: On entering: there is no answer, or it is an error.
    """

    def __init__(
        self, connection: Connection, path: str, data: Sequence[bytes], headers: Mapping[str, str]
    ) -> None:
        self._connection = connection
        self._request = path, data, headers
        self._response: aiohttp.ClientResponse | None = None
        self._decoder: Decoder | None = None
        self._decoded: Iterator[bytes] = iter(())
        self.whole: bool = False
        self.whose: Whose = connection.whose

    async def __aenter__(self) -> Answer:
        try:
            self._response = response = await self._connection.send(*self._request)
            self._connection.reading.add(response.content)
            if response.status >= 300:
                raise await self._error(response)
            if encoding := response.headers.get("content-encoding"):
                self._decoder = self._decoder_for(encoding)
        except BaseException as error:
            self._end(error)
            raise
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        response = self._response
        if response is not None:
            self._connection.reading.discard(response.content)
        if isinstance(error, UpstreamError):
            self._connection.report(error, response)
        if response is not None and self.whole and not response.content.is_eof():
            self._connection.give_back(response)
        elif response is not None:
            # Does nothing where it went back to the pool; otherwise the server notices at once.
            response.close()

    async def read(self) -> bytes:
        """Wait for more of the body, and return all that is there; b"" at its end.

        Raises:
            UpstreamError: It stops coming.
            Refusal: The connections are being closed.
        """
        if self._decoder is None:
            return await self._read()
        return await self._read_decoded(self._decoder)

    async def _read(self) -> bytes:
        assert self._response is not None
        try:
            return await self._response.content.readany()
        except TimeoutError:
            raise UpstreamError(SLOW, status=504, again=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise broke_off() from error

    async def _read_decoded(self, decoder: Decoder) -> bytes:
        try:
            while not (data := next(self._decoded, b"")):
                if not (compressed := await self._read()):
                    return b""
                self._decoded = decoder.push(compressed)
        except NotReadable as error:
            raise garbage() from error
        # A few bytes may stand for many: others have their turn between two parts of those.
        await asyncio.sleep(0)
        return data

    @staticmethod
    def _decoder_for(encoding: str) -> Decoder | None:
        try:
            return decoder_for(encoding)
        except NotReadable as error:
            name = encoding if _LOGGED.fullmatch(encoding) else "something unknown"
            raise misconfigured(
                f"The server behind this one compressed its answer ({name}), which it was not "
                "asked to do."
            ) from error

    async def _error(self, response: aiohttp.ClientResponse) -> UpstreamError:
        """The error that a response stands for."""
        text = b""
        # Without its text, its status says enough.
        with contextlib.suppress(TimeoutError, UpstreamError):
            self._decoder = self._decoder_for(response.headers.get("content-encoding", ""))
            async with asyncio.timeout(_ERROR_S):
                while len(text) < _MAX_ERROR_BYTES and (data := await self.read()):
                    text += data
        return error_of_response(
            response.status,
            text[:_MAX_ERROR_BYTES],
            retry_after=_sensible(retry_after_s(response.headers, time())),
            whose=self.whose,
        )


def _body(data: Sequence[bytes]) -> bytes | AsyncIterator[bytes]:
    """Return a body as the library takes it: a long one in parts, so that others go on."""
    return data[0] if len(data) == 1 else _in_parts(data)


async def _in_parts(data: Sequence[bytes]) -> AsyncIterator[bytes]:
    for part in data:
        yield part
        # Where the system takes all at once, the library goes on without waiting.
        await asyncio.sleep(0)


async def _drain(response: aiohttp.ClientResponse) -> None:
    length = 0
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_DRAIN_S):
            while length < _DRAIN_BYTES and (data := await response.content.readany()):
                length += len(data)


def _has_begun(error: Exception) -> bool:
    """Whether some of a response had come when its connection broke."""
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)


def _host(location: str) -> str:
    """The host of an address, for a log; nothing else of it, which may be secret."""
    try:
        host = urlsplit(location).hostname or ""
    except ValueError:
        host = ""
    return host if _LOGGED.fullmatch(host) else "the same host"


def _sensible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and seconds <= _MAX_RETRY_AFTER_S else None
