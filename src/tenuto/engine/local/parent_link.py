"""The worker's end of the socket to its parent."""

from __future__ import annotations

import socket
import threading

from tenuto.engine.local.frame_codec import FrameReader, encode
from tenuto.engine.local.frames import Frame, FromWorker

_READ_BYTES = 1 << 18


class ParentGone(Exception):
    """The parent has closed its end of the socket."""


class ParentLink:
    """Send frames to the parent, from any thread, and receive its frames."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = threading.Lock()
        self._reader = FrameReader()

    def fileno(self) -> int:
        """Return the descriptor that `select` waits for."""
        return self._socket.fileno()

    def send(self, frame: FromWorker) -> None:
        """Send a frame.

        Raises:
            ParentGone: The socket is closed.
        """
        try:
            with self._sending:
                self._socket.sendall(encode(frame))
        except OSError:
            raise ParentGone from None

    def receive(self) -> list[Frame]:
        """Wait for bytes, and return the frames that they complete.

        Raises:
            ParentGone: The socket is closed. Unread data at the other end makes this an error.
        """
        try:
            data = self._socket.recv(_READ_BYTES)
        except ConnectionError:
            raise ParentGone from None
        if not data:
            raise ParentGone
        return self._reader.feed(data)
