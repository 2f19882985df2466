"""Addresses of this machine, and the proxies that the environment names for others. No I/O.

The rules for proxies are those of `curl`. HTTP_PROXY, HTTPS_PROXY and ALL_PROXY also exist in lower
case, which takes precedence. NO_PROXY lists hosts, domains and networks without a proxy; this
machine never has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback address or `localhost`; IPv6 may have brackets."""
    address = _parsed(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def is_this_machine(host: str) -> bool:
    """Return whether a connection to a host stays on this machine."""
    host = host.rstrip(".").lower()
    address = _parsed(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@dataclass(frozen=True, slots=True)
class EnvironmentProxy:
    """A proxy.

    Attributes:
        variable: Name of its environment variable.
        url: Address with a scheme. May contain a password.
    """

    variable: str
    url: str = field(repr=False)


def proxy_for(
    scheme: str, host: str, port: int, environment: Mapping[str, str]
) -> EnvironmentProxy | None:
    """Return the proxy for an address, None for a direct connection."""
    if is_this_machine(host) or _is_exempt(host.lower(), port, environment):
        return None
    for kind in (scheme, "all"):
        name = f"{kind}_proxy"
        for variable in (name, name.upper()):
            if variable == "HTTP_PROXY" and "REQUEST_METHOD" in environment:
                continue  # In a CGI script this is the request header `Proxy`.
            if variable in environment:
                url = environment[variable].strip()
                if url:
                    return EnvironmentProxy(variable, url if "://" in url else f"http://{url}")
                break
    return None


def _is_exempt(host: str, port: int, environment: Mapping[str, str]) -> bool:
    text = environment.get("no_proxy", environment.get("NO_PROXY", ""))
    entries = [entry.strip().lower() for entry in text.replace(" ", ",").split(",")]
    return any(_exempts(entry.partition("://")[2] or entry, host, port) for entry in entries)


def _exempts(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    name, colon, only_port = entry.rpartition(":")
    if colon and only_port.isdigit():
        if int(only_port) != port:
            return False
        entry = name.strip("[]")
    domain = entry.removeprefix("*").lstrip(".").rstrip(".")
    host = host.rstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))
