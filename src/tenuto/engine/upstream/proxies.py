"""The HTTP proxy that the environment names for an upstream."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from tenuto.core import addresses
from tenuto.core.addresses import EnvironmentProxy
from tenuto.core.refusal import ModelError


def proxy_for(url: str) -> EnvironmentProxy | None:
    """Return the proxy for an address, None for a direct connection.

    Raises:
        ModelError: The environment names a proxy that cannot be used.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    proxy = addresses.proxy_for(parts.scheme, host, port, os.environ)
    if proxy is None:
        return None
    try:
        address = urlsplit(proxy.url)
        if address.scheme in ("http", "https") and address.hostname and address.port != 0:
            return proxy
    except ValueError:
        pass
    problem = "a SOCKS proxy" if proxy.url.lower().startswith("socks") else "an invalid address"
    raise ModelError(
        f"{proxy.variable} names {problem}; upstreams need an HTTP proxy (http://HOST:PORT) or "
        f"none. Change it, or add {host} to NO_PROXY."
    )
