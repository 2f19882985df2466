"""Take back what an answer has used up, if it does not reach its caller whole."""

from __future__ import annotations

from collections.abc import Callable


class Spoiling:
    """The functions that take back what one request has used up.

    Called at once when its answer is spoiled, before the caller can send the request again. While
    the answer may be kept for a repetition, they wait for `settle`.
    """

    __slots__ = ("_is_spoiled", "_undo", "_waits")

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self._is_spoiled = self._waits = False

    def on_spoiled(self, undo: Callable[[], None]) -> None:
        """Call a function if the answer is spoiled, also if it is already."""
        self._undo.append(undo)
        self._take_back()

    def spoil(self) -> None:
        """Report that the answer does not reach the caller whole."""
        self._is_spoiled = True
        self._take_back()

    def wait(self) -> None:
        """Let all functions wait for `settle`."""
        self._waits = True

    def settle(self, *, kept: bool) -> None:
        """End the wait. A kept answer reaches the caller with its next request."""
        self._waits = False
        if kept:
            self._undo.clear()
        self._take_back()

    def _take_back(self) -> None:
        while self._is_spoiled and self._undo and not self._waits:
            self._undo.pop()()
