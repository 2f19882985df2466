"""Start the process of a worker. Imports little, so that it can be the first thing that is done."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

COMMAND: Final = (
    sys.executable,
    "-P",  # the current folder must not shadow a library
    *("-m", "tenuto.engine.local.worker"),
)
"""Command of a worker, without its last argument: the number of its socket's descriptor."""


class Launched:
    """A worker without a reader of its frames.

    Attributes:
        process: It ends when its socket is closed.
        socket: The parent's end.
        loads: Whether it has its first frame already.
    """

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self.process = process
        self.socket = sock
        self.loads = False

    def load(self, frame: bytes) -> None:
        """Send the first frame, so that the model is loaded while the parent imports the rest.

        Raises:
            OSError: The worker is gone.
        """
        self.socket.sendall(frame)
        self.loads = True

    def discard(self) -> None:
        """Kill it."""
        self.socket.close()
        self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


def launch(command: Sequence[str] = COMMAND) -> Launched:
    """Start a worker.

    Raises:
        OSError: The system cannot start it.
    """
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(  # noqa: S603
            [*command, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return Launched(process, ours)
