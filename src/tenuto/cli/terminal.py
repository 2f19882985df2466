"""Standard error, and what a person at a terminal sees there: notes, colours, a spinner."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys

from tenuto.cli import output

_DELAY_S = 0.2
_FRAME_S = 0.1
_CLEAR = "\r\x1b[K"


def note(text: str = "", *, end: str = "\n") -> None:
    """Write to standard error. A failure is ignored."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text + end)
        sys.stderr.flush()


def hint(text: str) -> None:
    """Write a remark for a person, dimmed; nothing if standard error is not a terminal."""
    if is_terminal():
        note(dim(text))


def dim(text: str) -> str:
    """Return a text for standard error, dimmed if the terminal may show colours."""
    return f"\x1b[2m{text}\x1b[0m" if is_decorated() else text


def red(text: str) -> str:
    """Return a text for standard error, in red if the terminal may show colours."""
    return f"\x1b[31m{text}\x1b[0m" if is_decorated() else text


def is_terminal() -> bool:
    """Return whether standard error is a terminal that can move its cursor."""
    with contextlib.suppress(OSError, ValueError):
        return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    return False


def is_decorated() -> bool:
    """Return whether standard error may have colours and motion (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR")


class Spinner:
    """Show what is awaited, until `stop` or the end of the `with` block.

    Attributes:
        text: The text beside it; may change while it is shown.
    """

    def __init__(self, text: str) -> None:
        import threading

        self.text = text
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._turn, daemon=True)

    def __enter__(self) -> Spinner:
        if is_decorated():
            self._thread.start()
        else:
            self._ended.set()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove it from the terminal."""
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join()

    def _turn(self) -> None:
        # A short wait is shown as none.
        if self._ended.wait(_DELAY_S):
            return
        unicode = (sys.stderr.encoding or "").lower().startswith("utf")
        for frame in itertools.cycle("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if unicode else "|/-\\"):
            note(f"{_CLEAR}{dim(f'{frame} {self.text}'[: output.width() - 1])}", end="")
            if self._ended.wait(_FRAME_S):
                break
        note(_CLEAR, end="")
