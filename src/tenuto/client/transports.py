"""HTTP transports: proxies from the environment, and connections for each event loop."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Generic, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import httpx2

from tenuto.client.addresses import origin
from tenuto.core.addresses import EnvironmentProxy, proxy_for

TransportT = TypeVar("TransportT")
_Create: TypeAlias = Callable[[ssl.SSLContext, str | None], TransportT]


def unlimited() -> httpx2.Limits:
    """Return limits for a caller that bounds the number of its connections itself."""
    return httpx2.Limits(max_connections=None)


class _Transports(Generic[TransportT]):
    """A transport for direct connections and one for each proxy, created on demand."""

    def __init__(self, create: _Create[TransportT], environment: Mapping[str, str]) -> None:
        self._create = create
        self._environment = environment
        self._created: dict[str | None, TransportT] = {}
        self._found: dict[tuple[str, str, int | None], tuple[TransportT, EnvironmentProxy | None]]
        self._found = {}
        self._context: ssl.SSLContext | None = None
        self._lock = Lock()

    def find(self, request: httpx2.Request) -> tuple[TransportT, EnvironmentProxy | None]:
        """Return the transport for a request, and the proxy that it uses."""
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
        """Return the transports created so far."""
        with self._lock:
            return list(self._created.values())

    def _transport(self, proxy: EnvironmentProxy | None, request: httpx2.Request) -> TransportT:
        address = proxy.url if proxy else None
        if address not in self._created:
            if self._context is None:
                self._context = httpx2.create_ssl_context()
            try:
                self._created[address] = self._create(self._context, address)
            except (ImportError, ValueError, httpx2.InvalidURL):
                assert proxy is not None
                raise httpx2.UnsupportedProtocol(
                    _unusable(proxy, request.url.host), request=request
                ) from None
        return self._created[address]


class EnvironmentTransport(httpx2.BaseTransport):
    """HTTP transport with the proxies of the environment; `limits` apply to each proxy."""

    def __init__(self, limits: httpx2.Limits, environment: Mapping[str, str] = os.environ) -> None:
        self._transports = _Transports[httpx2.HTTPTransport](
            lambda context, proxy: httpx2.HTTPTransport(verify=context, limits=limits, proxy=proxy),
            environment,
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        transport, proxy = self._transports.find(request)
        with _proxy_errors(proxy, request):
            return transport.handle_request(request)

    def close(self) -> None:
        for transport in self._transports.all():
            transport.close()


_LoopTransports: TypeAlias = _Transports[httpx2.AsyncHTTPTransport]


async def _close_with_loop(transports: _LoopTransports) -> AsyncGenerator[None, None]:
    """Close some transports when this generator is closed, at the latest by its event loop.

    A loop closes the asynchronous generators that were started on it when it shuts down, and when
    they are collected.
    """
    try:
        yield
    finally:
        for transport in transports.all():
            with suppress(Exception):
                await transport.aclose()


class AsyncEnvironmentTransport(httpx2.AsyncBaseTransport):
    """`EnvironmentTransport` for any number of event loops, each with its own connections."""

    def __init__(self, limits: httpx2.Limits, environment: Mapping[str, str] = os.environ) -> None:
        self._limits = limits
        self._environment = environment
        self._of_loop: WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[_LoopTransports, AsyncGenerator[None, None]]
        ] = WeakKeyDictionary()
        self._lock = Lock()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        transport, proxy = (await self._transports()).find(request)
        with _proxy_errors(proxy, request):
            return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections of this loop. Other loops close theirs at their end."""
        with self._lock:
            _, closer = self._of_loop.pop(asyncio.get_running_loop(), (None, None))
            self._of_loop.clear()
        if closer is not None:
            await closer.aclose()

    async def _transports(self) -> _LoopTransports:
        """Return the transports of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop in self._of_loop:
                return self._of_loop[loop][0]
            transports = _LoopTransports(
                lambda context, proxy: httpx2.AsyncHTTPTransport(
                    verify=context, limits=self._limits, proxy=proxy
                ),
                self._environment,
            )
            closer = _close_with_loop(transports)
            self._of_loop[loop] = transports, closer
        await anext(closer)
        return transports


def _unusable(proxy: EnvironmentProxy, host: str) -> str:
    url = proxy.url.lower()
    direct = f"or set NO_PROXY={host} to connect directly"
    if url.startswith(("socks5://", "socks5h://")):
        return (
            f"{proxy.variable} names a SOCKS proxy, which requires the package `socksio`: "
            f"pip install socksio, {direct}"
        )
    kind = "a SOCKS4" if url.startswith(("socks4://", "socks4a://")) else "an invalid"
    return (
        f"{proxy.variable} names {kind} proxy; it must be http://HOST:PORT, https://HOST:PORT or "
        f"socks5://HOST:PORT, {direct}"
    )


@contextmanager
def _proxy_errors(proxy: EnvironmentProxy | None, request: httpx2.Request) -> Iterator[None]:
    """Name the proxy and its variable in the errors of a connection through it."""
    try:
        yield
    except (httpx2.ConnectError, httpx2.ProxyError) as error:
        if proxy is None:
            raise
        address = origin(httpx2.URL(proxy.url))
        reason = (str(error) or type(error).__name__).rstrip(". ")
        raise httpx2.ProxyError(
            f"the proxy {address} from {proxy.variable} failed: {reason}. Set NO_PROXY to connect "
            "to the server directly",
            request=request,
        ) from error
