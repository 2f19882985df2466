"""The worker's process as the parent sees it: its socket, and the end of its stderr."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from tenuto.engine.local.frame_codec import MOST_BYTES, Encoded, FrameReader, encode
from tenuto.engine.local.frames import Frame, ToWorker
from tenuto.engine.local.launch import COMMAND, Launched, launch

_log = logging.getLogger("tenuto.engine")

_READ_BYTES: Final = 1 << 18

# Limits of what is kept of a worker's stderr, where a library may write any number of bytes.
_STDERR_LINES_KEPT: Final = 5
_LINE_CHARS: Final = 500
_LINE_BYTES: Final = 4 * _LINE_CHARS

# A killed process is gone at once, unless it is in a system call that cannot be interrupted. A
# child of it that lives on may also hold its stderr open.
_REAP_S: Final = 5.0
_SHORTEST_POLL_S: Final = 0.001
_LONGEST_POLL_S: Final = 0.05

_PROC: Final = Path("/proc")


class WorkerProcess:
    """A running worker, from `spawn` to `kill`.

    Attributes:
        loads: Whether it has its `Load` frame already.
    """

    def __init__(
        self,
        launched: Launched,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        stderr: asyncio.StreamReader,
        stderr_pipe: asyncio.ReadTransport,
    ) -> None:
        self._process = launched.process
        self.loads: bool = launched.loads
        self._reader = reader
        self._writer = writer
        self._stderr = LastLines()
        self._stderr_reader = stderr
        self._stderr_pipe = stderr_pipe
        self._listener = asyncio.create_task(self._listen())

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def spawn(cls, command: Sequence[str] = COMMAND) -> WorkerProcess:
        """Start a worker, which waits for its `Load` frame.

        Raises:
            OSError: The system cannot start it.
        """
        return await cls.connect(launch(command))

    @classmethod
    async def connect(cls, launched: Launched) -> WorkerProcess:
        """Return a started worker."""
        stderr = asyncio.StreamReader()
        try:
            reader, writer = await asyncio.open_connection(sock=launched.socket)
            pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(stderr), launched.process.stderr
            )
        except BaseException:
            launched.discard()
            raise
        return cls(launched, reader, writer, stderr, pipe)

    def send(self, frame: ToWorker | Encoded) -> None:
        """Send a frame. Does nothing if the worker is gone, because `frames` ends then."""
        for part in frame if isinstance(frame, tuple) else [encode(frame)]:
            if not self._writer.is_closing():
                self._writer.write(part)

    async def frames(self) -> AsyncIterator[Frame]:
        """Yield all frames from the worker, until it is gone.

        Raises:
            BadFrame: The worker sent invalid data.
        """
        reader = FrameReader(MOST_BYTES)
        with contextlib.suppress(OSError):
            while data := await self._reader.read(_READ_BYTES):
                for frame in reader.feed(data):
                    yield frame

    def abort(self) -> None:
        """Kill a worker that hangs; `frames` ends with it."""
        self._process.kill()

    async def kill(self) -> str:
        """Kill the worker, which has no state to flush. Takes a few seconds at most.

        Returns:
            Its exit code or signal, and its last lines on stderr, for the log.
        """
        self._writer.close()
        self.abort()
        end = asyncio.create_task(self._wait())
        _, late = await asyncio.wait([end, self._listener], timeout=_REAP_S)
        if late:
            # A child of the worker may keep its stderr open.
            self._stderr_pipe.close()
        for task in late:
            task.cancel()
        await asyncio.wait([end, self._listener])
        code = self._process.returncode
        lines = " / ".join(self._stderr.lines())
        return f"{_ending(code)}; {lines}" if lines else _ending(code)

    def activity(self) -> int | None:
        """Return a number that changes while the process computes or reads; None if unknown."""
        folder = _PROC / str(self.pid)
        try:
            # The name, in parentheses, may have spaces.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        read = ""
        with contextlib.suppress(OSError):
            read = (folder / "io").read_text().partition("\n")[0]
        # Page faults, minor and major, and processor ticks in user and system mode.
        return hash((fields[7], fields[9], fields[11], fields[12], read))

    async def _wait(self) -> None:
        """Wait until the process is gone."""
        delay = _SHORTEST_POLL_S
        while self._process.poll() is None:
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_POLL_S)

    async def _listen(self) -> None:
        """Drain the pipe, so that the worker never blocks on it."""
        with contextlib.suppress(OSError):
            while data := await self._stderr_reader.read(_READ_BYTES):
                self._stderr.feed(data)


class LastLines:
    """The last lines of some output, of any length and content."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_STDERR_LINES_KEPT)
        self._begun = b""

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        *whole, rest = data.rsplit(b"\n", _STDERR_LINES_KEPT)
        if whole:
            whole[0] = (self._begun + whole[0]).rpartition(b"\n")[2]
            self._begun = b""
        for line in whole:
            self._add(line)
        # Of an unfinished line, the beginning is kept.
        self._begun = (self._begun + rest[:_LINE_BYTES])[:_LINE_BYTES]

    def lines(self) -> list[str]:
        """Return the lines, including an unfinished one, with long lines cut."""
        last = _readable(self._begun)
        return [*self._lines, *([last] if last else [])][-_STDERR_LINES_KEPT:]

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
    # One line for each message, and no control sequences for the terminal.
    return "".join(char if char.isprintable() else "?" for char in text)
