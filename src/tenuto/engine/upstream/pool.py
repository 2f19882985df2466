"""HTTP connections to one upstream: opened on demand, reused, and replaced once if stale."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from tenuto.engine.upstream.kind import ServerUpstream
from tenuto.engine.upstream.read_timeout import LazyReadTimeout
from tenuto.version import __version__


class _Connector(aiohttp.TCPConnector):
    """Record the tasks that opened a connection instead of reusing one."""

    def __init__(self) -> None:
        # The library's default limit would make the hundred-and-first stream wait.
        super().__init__(limit=0)
        self._factory: partial[Any] = partial(LazyReadTimeout, loop=self._loop)
        self.opened: set[asyncio.Task[Any] | None] = set()

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        self.opened.add(asyncio.current_task())
        return await super()._create_connection(req, traces, timeout)


class Pool:
    """The connections to one upstream, through an HTTP proxy if `proxy` is its URL."""

    def __init__(self, upstream: ServerUpstream, proxy: str | None) -> None:
        self._upstream = upstream
        self._proxy = proxy
        self._root = upstream.api_root
        self._urls: dict[str, URL] = {}
        self._connector: _Connector | None = None
        self._session: aiohttp.ClientSession | None = None
        self._unpooled: aiohttp.ClientSession | None = None

    async def post(
        self, path: str, data: Sequence[bytes], headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """Send a request; return the response when its head has arrived.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: The upstream did not respond in HTTP.
            ValueError: The library rejects the URL or a header.
        """
        # Kept as an object, because parsing takes longer than the look-up.
        url = self._urls.get(path) or self._urls.setdefault(path, URL(self._root + path))
        if len(data) > 1:
            # The library computes no length for a body in parts.
            headers = {**headers, "content-length": str(sum(map(len, data)))}
        if self._session is None or self._connector is None:
            self._connector = _Connector()
            self._session = self._open(self._connector)
        opened, task = self._connector.opened, asyncio.current_task()
        try:
            return await self._session.post(
                url, data=_body(data), headers=headers, allow_redirects=False
            )
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            # The upstream closed an idle connection without responding, which proves no failure.
            # Retry once, outside the pool, because its other connections may be stale too.
            if task in opened or _has_begun(error):
                raise
        finally:
            opened.discard(task)
        if self._unpooled is None:
            self._unpooled = self._open(aiohttp.TCPConnector(limit=0, force_close=True))
        return await self._unpooled.post(
            url, data=_body(data), headers=headers, allow_redirects=False
        )

    async def aclose(self) -> None:
        """Close all connections. Readers of open responses are not woken."""
        for session in (self._session, self._unpooled):
            if session is not None:
                await session.close()

    def _open(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        upstream = self._upstream
        headers = {
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": f"Tenuto/{__version__}",
        }
        if upstream.basic_auth is not None:
            text = b64encode(upstream.basic_auth.encode()).decode()
            headers["authorization"] = f"Basic {text}"
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            proxy=self._proxy,
            timeout=aiohttp.ClientTimeout(
                total=None,
                # Includes the DNS look-up and all addresses of the host.
                connect=upstream.connect_timeout_s,
                sock_connect=upstream.connect_timeout_s,
                sock_read=upstream.read_timeout_s,
            ),
            headers=headers,
        )


def _body(data: Sequence[bytes]) -> bytes | AsyncIterator[bytes]:
    return data[0] if len(data) == 1 else _in_parts(data)


async def _in_parts(data: Sequence[bytes]) -> AsyncIterator[bytes]:
    for part in data:
        yield part
        # Let other requests proceed where the socket accepts everything without waiting.
        await asyncio.sleep(0)


def _has_begun(error: Exception) -> bool:
    """Return whether part of a response had arrived when its connection broke."""
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
