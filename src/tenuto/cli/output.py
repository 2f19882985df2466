"""Write to standard output, which may be closed, full, slow or broken."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import TextIO

from tenuto.cli.failure import Failure

# A writable pipe takes at least this number of bytes at once (POSIX's PIPE_BUF).
_PIECE = 512
_PAUSE_S = 0.02
_UNLIMITED = 10_000


class ReaderGoneError(Exception):
    """The reader has closed the pipe, as in `tenuto complete … | head`. Not a failure."""


class CannotWriteError(Failure):
    """Standard output cannot be written to. The message is the reason."""


class _Closed(io.TextIOBase):
    """A standard output that the caller has closed."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def open_streams() -> None:
    """Make the three streams safe to use. Call it once, before anything else is opened."""
    closed = []
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Otherwise the next file or socket would become standard output.
            os.open(os.devnull, os.O_RDWR)
            closed.append(descriptor)
    if sys.stdin is None or 0 in closed:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115
    if sys.stdout is None or 1 in closed:
        sys.stdout = _Closed()
    if sys.stderr is None or 2 in closed:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal's encoding lacks is replaced.
            stream.reconfigure(errors="replace")


def close_streams() -> None:
    """Flush, because a failure at Python's own end prints a traceback."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def line(text: object = "") -> None:
    """Write a line to standard output. See `write`."""
    write(f"{text}\n")


def width() -> int:
    """Return the columns of the terminal, or of COLUMNS; without both, lines have no limit."""
    return shutil.get_terminal_size((_UNLIMITED, 24)).columns


def wrapped(text: str, indent: str = "") -> str:
    """Return a line broken between words at the terminal's width; `indent` starts later lines."""
    return textwrap.fill(
        *(text, width()),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def write(text: str) -> None:
    """Write to standard output, and wait until the reader takes the text.

    Raises:
        ReaderGoneError: The reader has closed the pipe.
        CannotWriteError: It is closed, or full.
    """
    with _explained():
        descriptor = _descriptor(sys.stdout)
        if descriptor is None:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        data = _encoded(text)
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                select.select([], [descriptor], [])


async def write_soon(text: str) -> None:
    """As `write`, but let the event loop run while a slow reader blocks; can be cancelled."""
    import asyncio

    with _explained():
        descriptor = _descriptor(sys.stdout)
        if descriptor is None:
            write(text)
            return
        data = _encoded(text)
        while data:
            while not select.select([], [descriptor], [], 0)[1]:
                await asyncio.sleep(_PAUSE_S)
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(descriptor, data[:_PIECE]) :]


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise ReaderGoneError from None
    except OSError as error:
        raise CannotWriteError(f"standard output: {error.strerror}") from None
    except ValueError:
        raise CannotWriteError("standard output: is closed") from None


def _descriptor(stream: TextIO) -> int | None:
    """Return a stream's descriptor; None for a stream in memory."""
    stream.flush()
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _encoded(text: str) -> bytes:
    return text.encode(sys.stdout.encoding or "utf-8", "replace")
