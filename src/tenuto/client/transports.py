"""Ways to servers: through the proxies of the environment, and for each event loop its own."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from threading import Lock
from typing import Generic, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import httpx2

from tenuto.client.addresses import origin
from tenuto.client.proxies import EnvironmentProxy, proxy_for

TransportT = TypeVar("TransportT")
_Make: TypeAlias = Callable[[ssl.SSLContext, str | None], TransportT]

_SOCKS = ("socks4://", "socks4a://", "socks5://", "socks5h://")


def unlimited() -> httpx2.Limits:
    """Return limits for a caller that bounds the number of its connections by itself."""
    return httpx2.Limits(max_connections=None)


class _Ways(Generic[TransportT]):
    """One transport for direct connections, and one for each proxy, made when needed."""

    def __init__(self, make: _Make[TransportT], environment: Mapping[str, str]) -> None:
        self._make = make
        self._environment = environment
        self._made: dict[str | None, TransportT] = {}
        self._found: dict[tuple[str, str, int | None], tuple[TransportT, EnvironmentProxy | None]]
        self._found = {}
        self._context: ssl.SSLContext | None = None
        self._lock = Lock()

    def find(self, request: httpx2.Request) -> tuple[TransportT, EnvironmentProxy | None]:
        """Return the transport for a request, and the proxy that it leads through."""
        url = request.url
        key = (url.scheme, url.host, url.port)
        found = self._found.get(key)
        if found is None:
            with self._lock:
                port = url.port or (443 if url.scheme == "https" else 80)
                proxy = proxy_for(url.scheme, url.host, port, self._environment)
                found = self._found[key] = (self._transport(proxy, request), proxy)
        return found

    def all(self) -> list[TransportT]:
        """Return the transports that were made."""
        with self._lock:
            return list(self._made.values())

    def _transport(self, proxy: EnvironmentProxy | None, request: httpx2.Request) -> TransportT:
        address = proxy.url if proxy else None
        if address not in self._made:
            if self._context is None:
                self._context = httpx2.create_ssl_context()
            try:
                self._made[address] = self._make(self._context, address)
            except (ImportError, ValueError, httpx2.InvalidURL):
                assert proxy is not None
                raise httpx2.UnsupportedProtocol(
                    _unusable(proxy, request.url.host), request=request
                ) from None
        return self._made[address]


class EnvironmentTransport(httpx2.BaseTransport):
    """Asks servers over HTTP, through a proxy where the environment names one.

    Args:
        limits: Of the connections, for each way.
        environment: Where the variables are looked up.
    """

    def __init__(self, limits: httpx2.Limits, environment: Mapping[str, str] = os.environ) -> None:
        self._ways = _Ways[httpx2.HTTPTransport](
            lambda context, proxy: httpx2.HTTPTransport(verify=context, limits=limits, proxy=proxy),
            environment,
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. See httpx2."""
        transport, proxy = self._ways.find(request)
        try:
            return transport.handle_request(request)
        except (httpx2.ConnectError, httpx2.ProxyError) as error:
            if proxy is None:
                raise
            raise httpx2.ProxyError(_through(proxy, error), request=request) from error

    def close(self) -> None:
        """Close all connections."""
        for transport in self._ways.all():
            transport.close()


class _OfLoop:
    """The transports of one event loop, which are closed when it ends."""

    def __init__(self, limits: httpx2.Limits, environment: Mapping[str, str]) -> None:
        self.ways = _Ways[httpx2.AsyncHTTPTransport](
            lambda context, proxy: httpx2.AsyncHTTPTransport(
                verify=context, limits=limits, proxy=proxy
            ),
            environment,
        )
        self._keeper = _keep(self.ways)

    async def begin(self) -> None:
        # From now on the loop knows the generator: it finishes it when it shuts down, and
        # when nobody holds it any more.
        await anext(self._keeper)

    async def close(self) -> None:
        await self._keeper.aclose()


async def _keep(ways: _Ways[httpx2.AsyncHTTPTransport]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        for transport in ways.all():
            with suppress(Exception):
                await transport.aclose()


class AsyncEnvironmentTransport(httpx2.AsyncBaseTransport):
    """As `EnvironmentTransport`, for any number of event loops, each with its own connections.

    Args:
        limits: Of the connections of a loop, for each way.
        environment: Where the variables are looked up.
    """

    def __init__(self, limits: httpx2.Limits, environment: Mapping[str, str] = os.environ) -> None:
        self._limits = limits
        self._environment = environment
        self._of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = WeakKeyDictionary()
        self._lock = Lock()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request on the running loop. See httpx2."""
        loop = asyncio.get_running_loop()
        begun = True
        with self._lock:
            here = self._of_loop.get(loop)
            if here is None:
                here = self._of_loop[loop] = _OfLoop(self._limits, self._environment)
                begun = False
        if not begun:
            await here.begin()
        transport, proxy = here.ways.find(request)
        try:
            return await transport.handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ProxyError) as error:
            if proxy is None:
                raise
            raise httpx2.ProxyError(_through(proxy, error), request=request) from error

    async def aclose(self) -> None:
        """Close the connections of this loop; other loops close theirs when they come to it."""
        with self._lock:
            here = self._of_loop.pop(asyncio.get_running_loop(), None)
            self._of_loop.clear()
        if here is not None:
            await here.close()


def _unusable(proxy: EnvironmentProxy, host: str) -> str:
    if proxy.url.lower().startswith(("socks5://", "socks5h://")):
        return (
            f"{proxy.variable} names a SOCKS proxy, for which the package `socksio` is missing: "
            f"pip install socksio, or set NO_PROXY={host} to ask directly"
        )
    kind = "a SOCKS4 proxy" if proxy.url.lower().startswith(_SOCKS) else "no usable proxy"
    return (
        f"{proxy.variable} names {kind}; it must be http://HOST:PORT, https://HOST:PORT or "
        f"socks5://HOST:PORT, or set NO_PROXY={host} to ask directly"
    )


def _through(proxy: EnvironmentProxy, error: Exception) -> str:
    address = origin(httpx2.URL(proxy.url))
    reason = (str(error) or type(error).__name__).rstrip(". ")
    return (
        f"the proxy {address} from {proxy.variable} cannot be used: {reason}. Set NO_PROXY to ask "
        "the server directly"
    )
