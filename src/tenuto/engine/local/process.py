"""The worker as the parent sees it: a process, the socket to it, and its last words."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator

from tenuto.engine.local.frames import Frame, FrameReader, encode

_log = logging.getLogger("tenuto.engine")

_READ_BYTES = 1 << 18
_LAST_WORDS = 5


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
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._listener = asyncio.create_task(self._listen())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @classmethod
    async def spawn(cls) -> WorkerProcess:
        """Starts a worker, which waits for its `Load` frame."""
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the folder one stands in must not shadow a library
                "-m",
                "tenuto.engine.local.worker",
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, reader, writer)

    def send(self, frame: Frame) -> None:
        """Sends a frame; does nothing when the worker is gone, which `frames` will tell."""
        if not self._writer.is_closing():
            self._writer.write(encode(frame))

    async def frames(self) -> AsyncIterator[Frame]:
        """All frames from the worker, until it is gone."""
        reader = FrameReader()
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(_READ_BYTES):
                for frame in reader.feed(data):
                    yield frame

    def abort(self) -> None:
        """Ends a worker that hangs; `frames` ends with it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def kill(self) -> str:
        """Ends the worker, which holds nothing worth saving.

        Returns:
            How it ended, for the log: its exit code or signal, and what it printed last.
        """
        self._writer.close()
        self.abort()
        code = await self._process.wait()
        await self._listener
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{how}; {' / '.join(self._words)}" if self._words else how

    async def _listen(self) -> None:
        """Reads the pipe empty all the time, so that the worker never blocks on it."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self._words.append(text)
                _log.debug("worker: %s", text)
