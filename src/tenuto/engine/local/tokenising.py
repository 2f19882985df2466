"""Tokenise long prompts in a thread, so that running completions continue."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

from tenuto.engine.local.frames import Submit
from tenuto.engine.local.special import RenderedPrompt

Tokenised: TypeAlias = tuple[Submit, list[int] | Exception]
"""A job with the tokens of its prompt, or with the error of tokenising it."""


class Tokenising:
    """Queue of prompts that are tokenised in order, one at a time.

    Args:
        encode: Prompt -> tokens. Called in the thread.
        begins: Called in the thread with the key of each prompt, before it is encoded.
    """

    def __init__(
        self,
        encode: Callable[[RenderedPrompt], list[int]],
        begins: Callable[[int], object] = lambda key: None,
    ) -> None:
        self.done: int = 0
        self._encode = encode
        self._begins = begins
        self._keys: set[int] = set()
        # None ends the thread.
        self._todo: SimpleQueue[tuple[Submit, RenderedPrompt] | None] = SimpleQueue()
        self._done: SimpleQueue[Tokenised] = SimpleQueue()
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """Return the number of prompts that were not taken yet."""
        return len(self._keys)

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is something to take."""
        return self._bell.fileno()

    def add(self, job: Submit, prompt: RenderedPrompt) -> None:
        if self._thread is None:
            # Started late, because most workers never get a long prompt.
            self._thread = threading.Thread(target=self._run, name="tokenising", daemon=True)
            self._thread.start()
        self._keys.add(job.key)
        self._todo.put((job, prompt))

    def cancel(self, key: int) -> bool:
        """Remove a prompt. Return whether it was here."""
        if key not in self._keys:
            return False
        self._keys.remove(key)
        return True

    def take(self) -> list[Tokenised]:
        """Return the prompts that are done, without cancelled ones."""
        with contextlib.suppress(BlockingIOError):
            while self._bell.recv(4096):
                pass
        done = []
        while not self._done.empty():
            job, tokens = self._done.get()
            if job.key in self._keys:
                self._keys.remove(job.key)
                done.append((job, tokens))
        return done

    def close(self) -> None:
        """End the thread, after the current prompt."""
        self._todo.put(None)
        self._bell.close()
        self._ringer.close()

    def _run(self) -> None:
        while (todo := self._todo.get()) is not None:
            job, prompt = todo
            # It may have been cancelled.
            if job.key in self._keys:
                tokens: list[int] | Exception
                try:
                    self._begins(job.key)
                    tokens = self._encode(prompt)
                except Exception as error:
                    tokens = error
                self.done += 1
                self._done.put((job, tokens))
                with contextlib.suppress(OSError):  # closed by now
                    self._ringer.send(b"\0")
