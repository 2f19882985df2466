"""Tokenise long prompts in a thread, so that running completions continue."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tokenised(Generic[T]):
    """The tokens of a prompt, or the error of tokenising it."""

    key: int
    job: T
    tokens: list[int] | Exception


class Tokenising(Generic[T]):
    """Queue of prompts that are tokenised in order, one at a time.

    Args:
        encode: Prompt -> tokens. Called in the thread.
        begins: Called in the thread with the key of each prompt, before it is encoded.

    Attributes:
        done: Number of prompts tokenised so far.
    """

    def __init__(
        self,
        encode: Callable[[Any], list[int]],
        begins: Callable[[int], object] = lambda key: None,
    ) -> None:
        self.done: int = 0
        self._encode = encode
        self._begins = begins
        self._keys: set[int] = set()
        # None ends the thread.
        self._todo: SimpleQueue[tuple[int, T, Any] | None] = SimpleQueue()
        self._done: SimpleQueue[Tokenised[T]] = SimpleQueue()
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """Return the number of prompts that were not taken yet."""
        return len(self._keys)

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is something to take."""
        return self._bell.fileno()

    def add(self, key: int, job: T, prompt: Any) -> None:
        """Queue a prompt; `job` returns with its tokens."""
        if self._thread is None:
            # Started late, because most workers never get a long prompt.
            self._thread = threading.Thread(target=self._run, name="tokenising", daemon=True)
            self._thread.start()
        self._keys.add(key)
        self._todo.put((key, job, prompt))

    def cancel(self, key: int) -> bool:
        """Remove a prompt. Return whether it was here."""
        if key not in self._keys:
            return False
        self._keys.remove(key)
        return True

    def take(self) -> list[Tokenised[T]]:
        """Return the prompts that are done, without cancelled ones."""
        with contextlib.suppress(BlockingIOError):
            while self._bell.recv(4096):
                pass
        done = []
        while not self._done.empty():
            each = self._done.get()
            if each.key in self._keys:
                self._keys.remove(each.key)
                done.append(each)
        return done

    def close(self) -> None:
        """End the thread, after the current prompt."""
        self._todo.put(None)
        self._bell.close()
        self._ringer.close()

    def _run(self) -> None:
        while (todo := self._todo.get()) is not None:
            key, job, prompt = todo
            # It may have been cancelled.
            if key in self._keys:
                tokens: list[int] | Exception
                try:
                    self._begins(key)
                    tokens = self._encode(prompt)
                except Exception as error:
                    tokens = error
                self.done += 1
                self._done.put(Tokenised(key, job, tokens))
                with contextlib.suppress(OSError):  # closed by now
                    self._ringer.send(b"\0")
