"""Run `tenuto serve` in a process, for a command that needs a server."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenuto.cli.failure import Failure

_PATIENCE_S = 10.0


@contextmanager
def own_server(model: str | None, config: Path | None) -> Iterator[tuple[str, str]]:
    """Run a server on a free port of this machine in the block; yield its URL and API key.

    Raises:
        Failure: It cannot start. The message is its last line.
    """
    key = secrets.token_urlsafe(16)
    command = [sys.executable, "-m", "tenuto", "serve", "--host", "127.0.0.1", "--port", "0"]
    command += ["--grace", "0"]
    command += ["--model", model] if model else []
    command += ["--config", str(config)] if config else []
    process = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TENUTO_SERVER_API_KEYS": key},
        # Ctrl-C must not end it before the command has printed its results.
        start_new_session=True,
    )
    try:
        yield _wait(process), key
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[str]) -> str:
    """Wait until the model is loaded; return the server's address."""
    assert process.stderr is not None
    url, last = "", ""
    for line in process.stderr:
        last = line.strip() or last
        if found := re.search(r"Listening on (\S+),", line):
            url = found[1]
        if "Ready: " in line:
            # A full pipe would block the server.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return url
    raise Failure(last.removeprefix("tenuto: ") or "the server ended without a message", 2)
