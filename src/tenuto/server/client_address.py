"""The address of a client, also behind proxies that are trusted to report it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNKNOWN = "-"


class TrustedProxies:
    """The proxies whose `X-Forwarded-For` or `Forwarded` counts.

    Each proxy adds the address that it sees at the end, so the list is read backwards, up to the
    first address that is not a trusted proxy's. Anything before it may be made up by the client.

    Args:
        entries: Addresses and networks, as `127.0.0.1` or `10.0.0.0/8`.

    Raises:
        ValueError: An entry is neither.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(entry, strict=False) for entry in entries]

    def client_of(self, scope: Any) -> str:
        """The address of the client of a request, `-` if it is not known.

        Args:
            scope: Of ASGI.
        """
        client = scope.get("client")
        if client is None:
            return _UNKNOWN
        peer: str = client[0]
        if not self._networks:
            return peer.removeprefix("::ffff:") if "." in peer else peer
        address = _parse(peer)
        if address is None:
            return peer
        headers = scope["headers"]
        found = {
            self._behind(address, hops)
            for hops in (_x_forwarded_for(headers), _forwarded(headers))
            if hops
        }
        # Proxies write one of the two and pass the other on as the client sent it. Where they
        # differ, it is unknown which one is the client's invention.
        return str(found.pop()) if len(found) == 1 else str(address)

    def _behind(self, peer: Address, hops: Sequence[str]) -> Address:
        address = peer
        for hop in reversed(hops):
            if not self._trusts(address):
                break
            named = _parse(hop)
            if named is None:
                break
            address = named
        return address

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _x_forwarded_for(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    return [
        hop.strip() for value in _values(headers, b"x-forwarded-for") for hop in value.split(",")
    ]


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The `for` of each hop, RFC 7239: `for=192.0.2.1;proto=http, for="[2001:db8::1]:80"`."""
    hops = []
    for value in _values(headers, b"forwarded"):
        for element in value.split(","):
            pairs = (pair.strip().partition("=") for pair in element.split(";"))
            named = [text for name, _, text in pairs if name.strip().lower() == "for"]
            hops.append(named[0].strip().strip('"') if named else "")
    return hops


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> Iterator[str]:
    return (value.decode("latin-1") for key, value in headers if key == name)


def _parse(text: str) -> Address | None:
    """An address, with or without a port; None for a name or anything else."""
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
