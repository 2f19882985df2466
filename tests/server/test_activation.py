"""The socket of a systemd socket unit."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests.conftest import PATIENCE_S

SHOW = (
    "from tenuto.server.activation import InvalidSocket, inherited_socket\n"
    "try:\n"
    "    found = inherited_socket()\n"
    "    print(found and (found.getsockname(), found.get_inheritable()))\n"
    "except InvalidSocket as error:\n"
    "    print(error)\n"
)


def shown(passed: socket.socket | None, pid: str = "$$", count: str = "1") -> str:
    """Return what a process finds whose third descriptor is a socket."""
    done = subprocess.run(
        [
            "sh",
            "-c",
            f'LISTEN_PID={pid} LISTEN_FDS={count} exec "$0" -c "$1"',
            sys.executable,
            SHOW,
        ],
        pass_fds=[3] if passed is not None else [],
        preexec_fn=None if passed is None else lambda: os.dup2(passed.fileno(), 3) and None,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return done.stdout.strip()


def test_listening_socket_is_taken_and_not_inherited_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert shown(listener) == str((listener.getsockname(), False))


def test_variables_of_another_process_are_ignored() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert shown(listener, pid="1") == "None"


@pytest.mark.parametrize("count", ["0", "2", ""])
def test_any_other_number_of_sockets_is_an_error(count: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert "one ListenStream=" in shown(listener, count=count)


def test_other_descriptors_are_errors() -> None:
    assert "not a socket" in shown(None)
    with socket.socket() as unconnected:
        assert "ListenStream= with a port" in shown(unconnected)
    with socket.socket(socket.AF_UNIX) as local:
        assert "ListenStream= with a port" in shown(local)
