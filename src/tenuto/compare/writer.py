"""Append comparisons to a file, in a thread: neither texts nor disks may delay callers."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from errno import ENOSPC
from pathlib import Path
from typing import Final

from tenuto.compare.comparison import Pair, line_of

_log: Final = logging.getLogger("tenuto.shadow")

_MOST_WAITING: Final = 1024
_MOST_WAITING_CHARS: Final = 16 * 1024 * 1024
_WAKES_AT: Final = _MOST_WAITING // 2 - 1
_WAKES_AT_CHARS: Final = _MOST_WAITING_CHARS // 2
_EACH_S: Final = 0.5
"""Between two writes: waking the thread for each comparison would cost as much as itself. It is
woken earlier by a half full queue, so that a burst of copies loses none."""
_AT_ONCE: Final = 16
"""Comparisons of one write, about 2 ms."""
_TAIL_BYTES: Final = 256 * 1024
_STOP_S: Final = 5.0
"""Longest wait for a write at the end: a disk may hang."""


class ComparisonWriter:
    """Append comparisons to a file, each as one whole line. Several processes may share it.

    Args:
        path: The file. Made with mode 600 when the first line is written.
        most_bytes: Size from which on nothing is written.

    Attributes:
        trouble: Why nothing can be written, one line; "" if all is well.
        written: Number of lines.
        lost: Number of comparisons that were not written.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path: Path = path
        self._most_bytes = most_bytes
        # With their characters.
        self._waiting: deque[tuple[int, Callable[[], Pair]]] = deque()
        # Characters that were added and taken, each changed by one thread alone.
        self._added = self._taken = 0
        self._is_torn = False
        self._stopping = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self.trouble: str = ""
        self.written: int = 0
        self.lost: int = 0

    def add(self, chars: int, pair_of: Callable[[], Pair]) -> None:
        """Compare and write a pair soon; leave it out if too many wait. Returns at once.

        Args:
            chars: Characters of its texts, at least.
            pair_of: Returns it, in the writer's thread: many at once take half of the time that
                each takes among requests, because their code and data are in the caches.
        """
        waiting, waiting_chars = len(self._waiting), self._added - self._taken + chars
        if waiting >= _MOST_WAITING or waiting_chars > _MOST_WAITING_CHARS:
            self.lost += 1
            return
        self._added += chars
        self._waiting.append((chars, pair_of))
        if waiting == _WAKES_AT or waiting_chars > _WAKES_AT_CHARS:
            self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tenuto-shadow", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end the thread. Blocks, for `_STOP_S` at most if a write hangs."""
        self._stopping = True
        self._wake.set()
        if self._thread is None:
            return
        self._thread.join(_STOP_S)
        if self._thread.is_alive():
            self._report(f"{self.path} cannot be written: a write hangs")
            self.lost += len(self._waiting)
            self._waiting.clear()
        else:
            self._write()
        self._thread = None

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(_EACH_S)
            self._wake.clear()
            self._write()

    def _write(self) -> None:
        while self._waiting:
            pairs = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            self._taken += sum([chars for chars, _ in pairs])
            try:
                lines = "".join([f"{line_of(pair_of())}\n" for _, pair_of in pairs])
                self._append(lines.encode(), len(pairs))
            except Exception as error:
                self.lost += len(pairs)
                self._report(f"{self.path} cannot be written: {_reason(error)}")
            # A thread that computes holds the interpreter for up to 5 ms at a time.
            time.sleep(0)

    def _append(self, data: bytes, lines: int) -> None:
        # Without a wait for the reader of a named pipe.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size + len(data) > self._most_bytes:
                self.lost += lines
                self._report(f"{self.path} has reached max_file_mib")
                return
            # One call, so that lines of several processes do not mix.
            if os.write(descriptor, b"\n" + data if self._is_torn else data) < len(data):
                # A disk that is nearly full takes a part. What follows begins on a new line.
                self._is_torn = True
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            self._is_torn = False
        finally:
            os.close(descriptor)
        self.written += lines
        self.trouble = ""

    def _report(self, trouble: str) -> None:
        if not self.trouble:
            _log.warning("%s; comparisons are lost until it can be", trouble)
        self.trouble = trouble


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def spent_today(path: Path) -> int:
    """Return the tokens of copies that a file reports for this day of UTC, 0 without any.

    A server that starts again goes on from there. Only the end of the file is read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).splitlines()
    except OSError:
        return 0
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    most = 0
    for line in lines:
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            continue  # The first line is cut.
        if isinstance(fields, dict) and str(fields.get("at", "")).startswith(today):
            spent = fields.get("spent")
            most = max(most, spent if isinstance(spent, int) else 0)
    return most
