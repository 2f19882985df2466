"""Socket activation: the socket that systemd passes on, by the protocol of sd_listen_fds(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

# The first descriptor after standard error.
_FIRST_DESCRIPTOR: Final = 3


class InvalidSocket(Exception):
    """The socket that systemd passes on cannot be used. The message gives the reason."""


def inherited_socket(environment: Mapping[str, str] = os.environ) -> socket.socket | None:
    """Return the listening socket of a socket unit; None without one.

    Raises:
        InvalidSocket: There are several sockets, or it is not a listening TCP socket.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = environment.get("LISTEN_FDS", "")
    if count != "1":
        raise InvalidSocket(f"the socket unit must have one ListenStream=, not {count or 'none'}")
    try:
        listener = socket.socket(fileno=_FIRST_DESCRIPTOR)
        is_listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise InvalidSocket(f"descriptor {_FIRST_DESCRIPTOR} is not a socket") from error
    if listener.family not in (socket.AF_INET, socket.AF_INET6) or not is_listening:
        listener.detach()
        raise InvalidSocket("the socket unit must have a ListenStream= with a port, as in 8000")
    # The worker process must not keep the port.
    listener.set_inheritable(False)
    return listener
