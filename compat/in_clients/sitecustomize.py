"""Block connections of clients to other machines; Python imports this module at start."""

from __future__ import annotations

import ipaddress
import sys


def _is_here(host: object) -> bool:
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _stay(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and not _is_here(address[0]):
            raise PermissionError(f"a client tried to connect to {address[0]}")
    elif event == "socket.getaddrinfo" and not _is_here(arguments[0]):
        raise PermissionError(f"a client asked for the address of {arguments[0]!r}")


sys.addaudithook(_stay)
