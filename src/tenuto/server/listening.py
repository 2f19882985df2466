"""The listening socket of the server."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any

from tenuto.core.addresses import is_loopback
from tenuto.settings import ServerSettings

_BACKLOG = 2048
_UNKNOWN_NAME = {getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_NODATA")}
# Most bytes of a connection that the kernel takes before it sends them. With its own limit, of
# megabytes, the last event of a client that reads slowly would arrive too late.
_UNSENT_BYTES = 16 * 1024


class CannotListen(Exception):
    """The server cannot, or should not, listen on the address. The message gives the reason."""


def listen(
    settings: ServerSettings, *, insecure: bool = False, inherited: socket.socket | None = None
) -> socket.socket:
    """Return a listening socket: the inherited one, or a new one on the address.

    `insecure` allows a public address without keys.

    An IPv6 address may have brackets; `::` is every address of both families.

    Raises:
        CannotListen: The port is in use, the host is unknown or not an address of this machine, or
            the address is public without keys.
    """
    host = bare(settings.host)
    if not (insecure or settings.api_keys or is_loopback(host)):
        raise CannotListen(
            f"{settings.host} can be reached from other machines, and there are no API keys: make "
            "one with `tenuto keys create NAME`, or set --insecure"
        )
    if inherited is not None:
        return _with_few_unsent_bytes(inherited)
    where = f"cannot listen on {in_brackets(host)}:{settings.port}"
    try:
        family, address = _resolved(host, settings.port)
        listener = socket.create_server(
            address,
            family=family,
            backlog=_BACKLOG,
            dualstack_ipv6=_is_any_ipv6(address[0]) and socket.has_dualstack_ipv6(),
        )
        return _with_few_unsent_bytes(listener)
    except socket.gaierror as error:
        if error.errno in _UNKNOWN_NAME:
            raise CannotListen(f"{where}: the host name is unknown") from None
        raise CannotListen(f"{where}: {error.strerror}") from None
    except UnicodeError:
        raise CannotListen(f"{where}: this is not a host name") from None
    except OSError as error:
        # The library appends the address to error.strerror.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListen(f"{where}: {reason}") from None


def _with_few_unsent_bytes(listener: socket.socket) -> socket.socket:
    """Return a listening socket whose connections have a small buffer in the kernel."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Accepted connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    return listener


def bare(host: str) -> str:
    """Return a host without the brackets of IPv6 addresses in URLs."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def in_brackets(host: str) -> str:
    """Return a host for a URL."""
    return f"[{bare(host)}]" if ":" in host else host


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Return an address of a name; IPv4 if it has one, because clients try both families."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    families = (socket.AF_INET, socket.AF_INET6)
    known = [(family, address) for family, _, _, _, address in found if family in families]
    if not known:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    return min(known, key=lambda one: one[0] != socket.AF_INET)


def _is_any_ipv6(address: str) -> bool:
    return ":" in address and ipaddress.ip_address(address.partition("%")[0]).is_unspecified
