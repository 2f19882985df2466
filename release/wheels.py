"""The wheels of Tenuto and all its libraries for one interpreter, fetched once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from release.build import ROOT
from release.errors import CheckError


class Wheels:
    """A folder of wheels, with the pinned versions of `constraints/dev.txt`."""

    def __init__(self, folder: Path, python: str) -> None:
        self.python = python
        self._folder = folder
        self._pins = folder / "pins.txt"

    def fetch(self, *requirements: str) -> None:
        """Fetch the requirements and all that they need."""
        self._folder.mkdir()
        text = (ROOT / "constraints" / "dev.txt").read_text(encoding="utf-8")
        # Without hashes, because pip then demands one for Tenuto's wheel and for each requirement.
        lines = (line.rstrip(" \\") for line in text.splitlines() if not line.startswith(" "))
        self._pins.write_text("\n".join(lines), encoding="utf-8")
        self._pip(self.python, "download", "--dest", str(self._folder), *requirements)

    def install(self, python: str, *requirements: str) -> None:
        """Install fetched requirements into the environment of an interpreter."""
        source = ("--no-index", "--find-links", str(self._folder))
        self._pip(python, "install", "--no-compile", *source, *requirements)

    def _pip(self, python: str, command: str, *arguments: str) -> None:
        pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
        quiet = ["--quiet", "-c", str(self._pins)]
        done = subprocess.run(
            [*pip, command, *quiet, *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise CheckError(f"pip {command} {' '.join(arguments)}:\n{done.stderr}")
