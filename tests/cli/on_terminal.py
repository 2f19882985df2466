"""Run a command on a pseudo-terminal, as a person would."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.conftest import PATIENCE_S

PYTHON = [sys.executable, "-m", "tenuto"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    hidden = ("TENUTO_", "ANTHROPIC_", "NO_COLOR", "COLUMNS", "LINES")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    return kept | {"XDG_CACHE_HOME": str(folder)} | more


def on_terminal(
    arguments: list[str],
    folder: Path,
    typed: bytes = b"",
    *,
    after: bytes = b": ",
    then: Callable[[], object] = lambda: None,
    columns: int = 80,
    variables: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Return a command's exit code, and everything that its terminal shows.

    Args:
        arguments: The command.
        folder: Its working folder and cache.
        typed: Sent when the terminal shows `after`, and the command waits.
        after: See `typed`.
        then: Called at the same time.
        columns: Width of the terminal.
        variables: Added to the environment.
    """
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [*PYTHON, *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        # Makes it the controlling terminal, so that Ctrl-C is a signal.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        cwd=folder,
        env=environment(folder, **{"TERM": "xterm", "PYTHONUTF8": "1", **(variables or {})}),
    ) as process:
        os.close(terminal)
        shown, waits = b"", True
        while True:
            if not select.select([controller], [], [], PATIENCE_S)[0]:
                process.kill()
                raise AssertionError(f"it waits for ever, after {shown!r}")
            try:
                piece = os.read(controller, 1 << 16)
            except OSError:
                break
            shown += piece
            if waits and after in shown:
                waits = False
                _until_asleep(process.pid)
                os.write(controller, typed)
                then()
        os.close(controller)
        return process.wait(PATIENCE_S), shown.decode()


def _until_asleep(pid: int) -> None:
    """Wait until a process waits in a system call, where the machine shows it.

    Python checks for signals between its instructions, and system calls are interrupted by them. A
    signal in between, one of a thousand that are sent at once after an output, is noticed at the
    end of the call only: Ctrl-C would be answered when it is pressed again.
    """
    stat = Path(f"/proc/{pid}/stat")
    until = time.monotonic() + PATIENCE_S
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] in ("R", "D"):
        assert time.monotonic() < until
        time.sleep(0.001)
