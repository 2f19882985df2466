"""The HTTP proxy that the environment names for an address."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from tenuto.core.refusal import ModelError


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy.

    Attributes:
        url: Its address, which may contain a password.
        variable: The environment variable that names it.
    """

    url: str = field(repr=False)
    variable: str


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for an address; None for a direct connection, as always on this machine.

    Raises:
        ModelError: The environment names a proxy that cannot be used.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_this_machine(host) or _is_exempt(host, parts.port):
        return None
    proxies = getproxies()
    scheme = parts.scheme if proxies.get(parts.scheme) else "all"
    proxy = (proxies.get(scheme) or "").strip()
    if not proxy:
        return None
    if "://" not in proxy:
        proxy = "http://" + proxy
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")
    variable = next((name for name in names if os.environ.get(name)), names[0])
    try:
        address = urlsplit(proxy)
        if address.scheme in ("http", "https") and address.hostname and address.port != 0:
            return Proxy(proxy, variable)
    except ValueError:
        pass
    problem = "a SOCKS proxy" if proxy.lower().startswith("socks") else "an invalid address"
    raise ModelError(
        f"{variable} names {problem}; upstreams need an HTTP proxy (http://HOST:PORT) or none. "
        f"Change it, or add {host} to NO_PROXY."
    )


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _is_exempt(host: str, port: int | None) -> bool:
    bracketed = f"[{host}]" if ":" in host else host
    return bool(proxy_bypass(host) or proxy_bypass(f"{bracketed}:{port}" if port else bracketed))
