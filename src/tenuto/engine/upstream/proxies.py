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
        url: Where it is. It may hold a password.
        variable: The variable of the environment that names it.
    """

    url: str = field(repr=False)
    variable: str


def proxy_for(url: str) -> Proxy | None:
    """The proxy for an address; None to connect directly, as always on this machine.

    Raises:
        ModelError: The environment names one that cannot be used; the message has the remedy.
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
    variable = _variable(scheme)
    try:
        kind = urlsplit(proxy)
        usable = kind.scheme in ("http", "https") and bool(kind.hostname)
        _ = kind.port
    except ValueError:
        usable = False
        kind = urlsplit("")
    if usable:
        return Proxy(proxy, variable)
    what = "a SOCKS proxy" if kind.scheme.startswith("socks") else "not the address of a proxy"
    raise ModelError(
        f"{variable} names {what}; upstreams are asked directly or through an HTTP proxy "
        f"(http://HOST:PORT). Change it, or add {host} to NO_PROXY."
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
    if proxy_bypass(host):
        return True
    if ":" in host:
        host = f"[{host}]"
    return bool(proxy_bypass(f"{host}:{port}" if port else host))


def _variable(scheme: str) -> str:
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")
    return next((name for name in names if os.environ.get(name)), names[0])
