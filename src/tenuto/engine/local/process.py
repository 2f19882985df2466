"""The worker as the parent sees it: a process, the socket to it, and its last words."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from tenuto.engine.local.frames import MOST_BYTES, Encoded, Frame, FrameReader, encode

_log = logging.getLogger("tenuto.engine")

_READ_BYTES: Final = 1 << 18

# What is kept of a worker's stderr: a library may write any number of bytes there.
_LAST_WORDS: Final = 5
_LINE_CHARS: Final = 500
_LINE_BYTES: Final = 4 * _LINE_CHARS

# A killed process is gone at once, unless the system holds it in a call that cannot be broken off.
# A child of it that lives on may also hold its stderr open.
_REAP_S: Final = 5.0

_PROC: Final = Path("/proc")

COMMAND: Final = (
    sys.executable,
    "-P",  # the folder one stands in must not shadow a library
    *("-m", "tenuto.engine.local.worker"),
)
"""Starts a worker; the number of its socket's descriptor is to follow."""


class WorkerProcess:
    """A running worker. Made by `spawn`, ended by `kill`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._words = LastWords()
        self._listener = asyncio.create_task(self._listen())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @classmethod
    async def spawn(cls, command: Sequence[str] = COMMAND) -> WorkerProcess:
        """Starts a worker, which waits for its `Load` frame.

        Raises:
            OSError: The system does not let it start.
        """
        ours, theirs = socket.socketpair()
        process = None
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            raise
        finally:
            theirs.close()
        return cls(process, reader, writer)

    def send(self, frame: Frame | Encoded) -> None:
        """Sends a frame; does nothing when the worker is gone, which `frames` will tell."""
        for part in frame.parts if isinstance(frame, Encoded) else [encode(frame)]:
            if not self._writer.is_closing():
                self._writer.write(part)

    async def frames(self) -> AsyncIterator[Frame]:
        """All frames from the worker, until it is gone.

        Raises:
            BadFrame: It sent something else.
        """
        reader = FrameReader(MOST_BYTES)
        with contextlib.suppress(OSError):
            while data := await self._reader.read(_READ_BYTES):
                for frame in reader.feed(data):
                    yield frame

    def abort(self) -> None:
        """Ends a worker that hangs; `frames` ends with it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def kill(self) -> str:
        """Ends the worker, which holds nothing worth saving. Takes a few seconds at most.

        Returns:
            How it ended, for the log: its exit code or signal, and what it printed last.
        """
        self._writer.close()
        self.abort()
        end = asyncio.create_task(self._process.wait())
        _, late = await asyncio.wait([end, self._listener], timeout=_REAP_S)
        if late:
            # A child of the worker keeps its stderr open, which asyncio has no public way to close.
            self._process._transport.close()  # type: ignore[attr-defined]
        for task in late:
            task.cancel()
        await asyncio.wait([end, self._listener])
        code = self._process.returncode
        words = self._words.lines()
        return "; ".join([_ending(code), *([" / ".join(words)] if words else [])])

    def activity(self) -> int | None:
        """A number that changes while the process computes or reads; None where it is not known."""
        folder = _PROC / str(self.pid)
        try:
            # The name, which ends with the parenthesis, may have spaces.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        read = ""
        with contextlib.suppress(OSError):
            read = (folder / "io").read_text().partition("\n")[0]
        # Page faults, with and without a disk, and ticks of a processor, for itself and the system.
        return hash((fields[7], fields[9], fields[11], fields[12], read))

    async def _listen(self) -> None:
        """Reads the pipe empty all the time, so that the worker never blocks on it."""
        stderr = self._process.stderr
        assert stderr is not None
        with contextlib.suppress(OSError):
            while data := await stderr.read(_READ_BYTES):
                self._words.hear(data)


class LastWords:
    """The last lines of some output, however long they are and whatever they hold."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_LAST_WORDS)
        self._begun = b""

    def hear(self, data: bytes) -> None:
        """Takes the next bytes."""
        *whole, rest = data.rsplit(b"\n", _LAST_WORDS)
        if whole:
            whole[0] = (self._begun + whole[0]).rpartition(b"\n")[2]
            self._begun = b""
        for line in whole:
            self._add(line)
        # Of a line without an end, its beginning is kept.
        self._begun = (self._begun + rest[:_LINE_BYTES])[:_LINE_BYTES]

    def lines(self) -> list[str]:
        """The lines, the one that is not ended among them, cut where they are long."""
        last = _readable(self._begun)
        return [*self._lines, *([last] if last else [])][-_LAST_WORDS:]

    def _add(self, line: bytes) -> None:
        text = _readable(line)
        if text:
            self._lines.append(text)
            _log.debug("worker: %s", text)


def _ending(code: int | None) -> str:
    if code is None:
        return "killed, and still there"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _readable(line: bytes) -> str:
    text = line[:_LINE_BYTES].decode("utf-8", "replace").strip()[:_LINE_CHARS]
    # A log has one line for one message, and no terminal is to be told anything by it.
    return "".join(char if char.isprintable() else "?" for char in text)
