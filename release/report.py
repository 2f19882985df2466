"""Progress lines, and the errors of failed steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from release.errors import CheckError


class Report:
    """Print one line for each step; continue after a failed one."""

    def __init__(self) -> None:
        self._failed: list[str] = []
        self._started = time.monotonic()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Print the name, then the result and the seconds. A `CheckError` fails the step."""
        print(f"{name:.<48} ", end="", flush=True)
        started = time.monotonic()
        try:
            yield
        except CheckError as error:
            self._failed.append(name)
            print(f"FAILED\n{error}")
        else:
            print(f"ok {time.monotonic() - started:6.1f} s")

    def end(self) -> int:
        """Print a summary; return the exit code."""
        seconds = time.monotonic() - self._started
        result = f"failed: {', '.join(self._failed)}" if self._failed else "all passed"
        print(f"{result}, in {seconds:.0f} s")
        return 1 if self._failed else 0
