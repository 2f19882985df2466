"""A clean virtual environment with the wheel and some of its extras."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from release.errors import CheckError
from release.wheels import Wheels

_START_S: Final = 60.0
_COMMAND_S: Final = 300.0


class Environment:
    """A virtual environment with a folder of its own, where its commands run."""

    def __init__(self, folder: Path, wheels: Wheels, *requirements: str) -> None:
        """Create the environment and install the requirements."""
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        self._variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TENUTO_", "ANTHROPIC_", "PYTHON", "VIRTUAL_ENV"))
        } | {"HOME": str(folder), "NO_COLOR": "1"}
        folder.mkdir(parents=True)
        venv = [wheels.python, "-m", "venv", "--without-pip", str(folder / "venv")]
        subprocess.run(venv, check=True)
        wheels.install(str(self.bin / "python"), *requirements)

    def run(self, *command: str, codes: Collection[int] = (0,), **variables: str) -> str:
        """Run a program of this environment.

        Args:
            *command: Its name in `bin`, and arguments.
            codes: The expected exit codes.
            **variables: Environment variables.

        Returns:
            Standard output and standard error together.
        """
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=self.folder,
            env=self._variables | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        if done.returncode not in codes:
            raise CheckError(f"{shlex.join(command)}: exit code {done.returncode}:\n{done.stdout}")
        return done.stdout

    def write(self, name: str, text: str) -> None:
        """Write a file into the folder where commands run."""
        (self.folder / name).write_text(text, encoding="utf-8")

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[str]:
        """Run `tenuto serve`; return its URL when it is ready. SIGTERM must end it with code 0."""
        command = [str(self.bin / "tenuto"), "serve", "--port", "0", *arguments]
        with subprocess.Popen(
            command, cwd=self.folder, env=self._variables, stderr=subprocess.PIPE, text=True
        ) as process:
            lines: list[str] = []
            assert process.stderr is not None
            reader = threading.Thread(target=lines.extend, args=(process.stderr,), daemon=True)
            reader.start()
            try:
                yield _ready(process, lines)
                process.terminate()
                code = process.wait(_START_S)
                if code != 0:
                    raise CheckError(f"tenuto serve ended with {code}:\n{''.join(lines)}")
            finally:
                process.kill()


def _ready(process: subprocess.Popen[str], lines: list[str]) -> str:
    """Wait until the server's model is loaded; return the server's URL."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        match = re.search(r"http://127\.0\.0\.1:\d+", "".join(lines))
        if match is not None and _answers(match[0] + "/ready"):
            return match[0]
        time.sleep(0.05)
    raise CheckError(f"tenuto serve is not ready after {_START_S:.0f} s:\n{''.join(lines)}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.URLError:
        return False
