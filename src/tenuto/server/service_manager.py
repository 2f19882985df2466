"""Notifications to systemd; without it nothing happens.

The protocol is that of sd_notify(3), and of `Type=notify-reload` in systemd.service(5).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

# While the model is loading, systemd waits this long for the next notification.
_LOADING_S: Final = 60.0
_BEAT_S: Final = 10.0
# A notification waits for a full socket for at most this time.
_SEND_S: Final = 0.5
_LONGEST_STATUS: Final = 200

_log = logging.getLogger("tenuto.server")


class ServiceManager:
    """The service manager that started this process. Belongs to one event loop.

    Args:
        environment: Has the variables of systemd, if it started this process.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An address with an `@` has no file.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._is_ready = False
        self._watchdog_s = _watchdog_s(environment)

    def notify(self, *assignments: str) -> None:
        """Send assignments such as `READY=1` in one datagram."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_S)
                sender.connect(self._address)
                sender.send("\n".join(assignments).encode())
        except OSError as error:
            _log.warning("systemd could not be notified: %s", error.strerror or error)

    def ready(self, status: str) -> None:
        """Report that the model is loaded."""
        self._is_ready = True
        self.notify("READY=1", _status(status))

    def reloading(self) -> None:
        """Report the begin of a reload."""
        if self._is_ready:
            self.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self, status: str) -> None:
        """Report the end of a reload, with any result."""
        self.notify(*(["READY=1"] if self._is_ready else []), _status(status))

    def stopping(self, within_s: float) -> None:
        """Report the begin of the shutdown, and its longest duration in seconds."""
        self._is_ready = True
        microseconds = math.ceil(within_s * 1_000_000)
        self.notify(
            "STOPPING=1", f"EXTEND_TIMEOUT_USEC={microseconds}", _status("Finishing requests.")
        )

    @asynccontextmanager
    async def attended(self) -> AsyncGenerator[None]:
        """Show in this block that the event loop is alive, and that the model is still loading."""
        if not self._address:
            yield
            return
        self.notify(_status("Loading the model."))
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    async def _beat(self) -> None:
        pause_s = _BEAT_S if self._watchdog_s is None else min(_BEAT_S, self._watchdog_s / 2)
        while True:
            beats = [] if self._watchdog_s is None else ["WATCHDOG=1"]
            if not self._is_ready:
                beats.append(f"EXTEND_TIMEOUT_USEC={math.ceil(_LOADING_S * 1_000_000)}")
            if beats:
                self.notify(*beats)
            await asyncio.sleep(pause_s)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Return the time after which systemd misses a sign of life, in seconds; None for never."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    with contextlib.suppress(ValueError):
        microseconds = int(environment.get("WATCHDOG_USEC", ""))
        return microseconds / 1_000_000 if microseconds > 0 else None
    return None


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:_LONGEST_STATUS]}"
