"""The file of a cassette: whole lines at its end, read back by their places."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tenuto.cassette.exchange import Exchange, InvalidLine, read_line

_MODE = 0o600


class CassetteError(ValueError):
    """A cassette cannot be used. The message names the file, the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a line in a file, in bytes; lines count from 1."""

    number: int
    start: int
    length: int


class CassetteFile:
    """A cassette to which exchanges are added. One process at a time may hold it.

    The file is made with mode 600, and gets it if it is there. An exchange is one write, so that an
    end of the process at any moment leaves whole lines, and at most one torn line, the last.

    Raises:
        CassetteError: It is not a regular file, or another process has it.
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        self._descriptor = os.open(path, flags, _MODE)
        try:
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise CassetteError(f"{path}: is not a regular file")
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CassetteError(f"{path}: another process writes into this cassette") from None
            os.fchmod(self._descriptor, _MODE)
            last = os.pread(self._descriptor, 1, status.st_size - 1) if status.st_size else b"\n"
        except BaseException:
            os.close(self._descriptor)
            raise
        self._is_torn = last != b"\n"

    def append(self, exchange: Exchange) -> tuple[int, int]:
        """Add an exchange. Return the start and the length of its line.

        Raises:
            OSError: The line was not written, or in part. The next one begins on a line of its own.
        """
        line = exchange.line()
        data = b"\n" + line if self._is_torn else line
        self._is_torn = True
        while data:
            data = data[os.write(self._descriptor, data) :]
        self._is_torn = False
        return os.fstat(self._descriptor).st_size - len(line), len(line)

    def erase(self, start: int, length: int) -> None:
        """Remove a line that `append` has added: the last one wholly, of others the content.

        Raises:
            OSError: It was not removed, or in part.
        """
        if os.fstat(self._descriptor).st_size == start + length:
            os.ftruncate(self._descriptor, start)
            return
        # With O_APPEND, all writes go to the end.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, b" " * (length - 1), start)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the file when the disk has it all."""
        try:
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)


class CassetteReader:
    """A cassette that is read. The lines stay in the file.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")

    def lines(self) -> Iterator[tuple[Place, bytes]]:
        """Yield all lines that are not empty."""
        self._file.seek(0)
        start = 0
        for number, line in enumerate(self._file, 1):
            if line.strip():
                yield Place(number, start, len(line)), line
            start += len(line)

    def exchanges(self) -> Iterator[tuple[Place, Exchange | InvalidLine]]:
        """Yield the exchange of each line, or the reason why it has none."""
        for place, line in self.lines():
            try:
                yield place, read_line(line)
            except InvalidLine as error:
                yield place, error

    def line(self, place: Place) -> bytes:
        """Return the line at a place."""
        return os.pread(self._file.fileno(), place.length, place.start)

    def at(self, place: Place) -> Exchange:
        """Return the exchange at a place.

        Raises:
            InvalidLine: The file has changed.
        """
        return read_line(self.line(place))

    def fileno(self) -> int:
        """Return the file's descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
