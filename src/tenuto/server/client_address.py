"""Addresses of clients, also behind trusted proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from starlette.types import Scope

from tenuto.server.request_headers import header_values

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class TrustedProxies:
    """Proxies whose `X-Forwarded-For` or `Forwarded` is trusted: addresses and networks.

    Each proxy appends the address of its peer, so the list is read backwards to the first address
    that is not a trusted proxy's. The client may have forged the rest.

    Raises:
        ValueError: An entry is invalid.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(entry, strict=False) for entry in entries]

    def client_of(self, scope: Scope) -> str:
        """Return the client's address of an ASGI scope, `-` if unknown."""
        client = scope.get("client")
        if client is None:
            return "-"
        peer: str = client[0]
        if not self._networks:
            return peer.removeprefix("::ffff:") if "." in peer else peer
        address = _parse(peer)
        if address is None:
            return peer
        found = {
            self._behind(address, hops)
            for hops in (_x_forwarded_for(scope), _forwarded(scope))
            if hops
        }
        # A proxy sets one of the two headers and forwards the other. If they differ, one is forged,
        # so neither is used.
        return str(found.pop()) if len(found) == 1 else str(address)

    def _behind(self, peer: Address, hops: Sequence[str]) -> Address:
        address = peer
        for hop in reversed(hops):
            named = _parse(hop)
            if named is None or not any(address in network for network in self._networks):
                break
            address = named
        return address


def _x_forwarded_for(scope: Scope) -> list[str]:
    values = header_values(scope, b"x-forwarded-for")
    return [hop.strip() for value in values for hop in value.split(",")]


def _forwarded(scope: Scope) -> list[str]:
    """Parse the `for` of each hop, RFC 7239: `for=192.0.2.1;proto=http, for="[2001:db8::1]:80"`."""
    hops = []
    for value in header_values(scope, b"forwarded"):
        for element in value.split(","):
            pairs = (pair.strip().partition("=") for pair in element.split(";"))
            named = [text for name, _, text in pairs if name.strip().lower() == "for"]
            hops.append(named[0].strip().strip('"') if named else "")
    return hops


def _parse(text: str) -> Address | None:
    """Parse an address, with or without a port; return None for other text."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
