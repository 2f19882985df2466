"""Write to standard output and standard error, which may be closed, full, slow or broken."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

# A pipe that can be written to takes so many bytes at once (POSIX's PIPE_BUF).
_PIECE = 512
_PAUSE_S = 0.02


class ReaderGoneError(Exception):
    """The reader has closed the pipe, as in `tenuto complete … | head`. This is not a failure."""


class CannotWriteError(Exception):
    """Standard output cannot be written to. The message says why."""


class _Closed(io.TextIOBase):
    """Standard output that the caller has closed."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def open_streams() -> None:
    """Make the three streams safe to use. To be called once, before anything else is opened."""
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


def close_streams() -> bool:
    """Flush, so that Python does not find at its end that it cannot. Return whether it worked."""
    works = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            works = False
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return works


def line(text: object = "") -> None:
    """Write a line to standard output. See `write`."""
    write(f"{text}\n")


def write(text: str) -> None:
    """Write to standard output, and wait until it is taken.

    Raises:
        ReaderGoneError: Nobody reads on.
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
    """As `write`, but let the event loop run, and be cancelled, while nobody takes the text."""
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


def note(text: str = "", *, end: str = "\n") -> None:
    """Write to standard error, if that works."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text + end)
        sys.stderr.flush()


def dim(text: str) -> str:
    """Return a text for standard error, dimmed where colours are wanted."""
    return _coloured(text, 2)


def red(text: str) -> str:
    """Return a text for standard error, in red where colours are wanted."""
    return _coloured(text, 31)


def _coloured(text: str, code: int) -> str:
    # https://no-color.org
    wanted = is_terminal() and not os.environ.get("NO_COLOR")
    return f"\x1b[{code}m{text}\x1b[0m" if wanted else text


def is_terminal() -> bool:
    """Return whether somebody watches standard error, on a terminal that can move its cursor."""
    with contextlib.suppress(OSError, ValueError):
        return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    return False


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
