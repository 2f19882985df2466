"""Addresses of this machine."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


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
