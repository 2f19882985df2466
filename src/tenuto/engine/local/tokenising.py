"""Tokenises long prompts in a thread of its own, so that running completions go on meanwhile."""

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
    """A prompt that is done: its tokens, or why there are none."""

    key: int
    job: T
    tokens: list[int] | Exception


class Tokenising(Generic[T]):
    """The prompts that are being tokenised, one after another, in the order they came.

    Args:
        encode: Prompt -> tokens. It is called in another thread than the one that steps.
        begins: Is called there with the key of each prompt, before it is encoded.

    Attributes:
        done: How many prompts have been tokenised so far.
    """

    def __init__(
        self,
        encode: Callable[[Any], list[int]],
        begins: Callable[[int], object] = lambda key: None,
    ) -> None:
        self.done: int = 0
        self._encode = encode
        self._begins = begins
        self._wanted: set[int] = set()
        # None ends the thread.
        self._todo: SimpleQueue[tuple[int, T, Any] | None] = SimpleQueue()
        self._done: SimpleQueue[Tokenised[T]] = SimpleQueue()
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """How many are not done yet, or done and not taken."""
        return len(self._wanted)

    def fileno(self) -> int:
        """Readable, as `select` says it, when there is something to take."""
        return self._bell.fileno()

    def add(self, key: int, job: T, prompt: Any) -> None:
        """Queues a prompt; `job` comes back with its tokens."""
        if self._thread is None:
            # Most workers never see a long prompt.
            self._thread = threading.Thread(target=self._run, name="tokenising", daemon=True)
            self._thread.start()
        self._wanted.add(key)
        self._todo.put((key, job, prompt))

    def cancel(self, key: int) -> bool:
        """Forgets a prompt; False if it is not here."""
        if key not in self._wanted:
            return False
        self._wanted.remove(key)
        return True

    def take(self) -> list[Tokenised[T]]:
        """Those that are done since the last time, without the cancelled ones."""
        with contextlib.suppress(BlockingIOError):
            while self._bell.recv(4096):
                pass
        done = []
        while not self._done.empty():
            each = self._done.get()
            if each.key in self._wanted:
                self._wanted.remove(each.key)
                done.append(each)
        return done

    def close(self) -> None:
        """Ends the thread, after the prompt that it is at."""
        self._todo.put(None)
        self._bell.close()
        self._ringer.close()

    def _run(self) -> None:
        while (todo := self._todo.get()) is not None:
            key, job, prompt = todo
            # Nobody may want it any more.
            if key in self._wanted:
                tokens: list[int] | Exception
                try:
                    self._begins(key)
                    tokens = self._encode(prompt)
                except Exception as error:
                    tokens = error
                self.done += 1
                self._done.put(Tokenised(key, job, tokens))
                with contextlib.suppress(OSError):  # closed meanwhile
                    self._ringer.send(b"\0")
