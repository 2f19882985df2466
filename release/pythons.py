"""Find the interpreters of the supported versions on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "Programming Language :: Python :: 3."


def supported(pyproject: Path) -> list[str]:
    """Return the versions that the classifiers list, such as `3.11`."""
    classifiers = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["classifiers"]
    return [f"3.{each.removeprefix(_PREFIX)}" for each in classifiers if each.startswith(_PREFIX)]


def find(version: str) -> str | None:
    """Return the path of an interpreter of this version, or None.

    Candidates are, in this order, the running one, `python3.X` on `PATH`, and those of pyenv.
    """
    for candidate in _candidates(version):
        if _version(candidate) == version:
            return candidate
    return None


def _candidates(version: str) -> Iterator[str]:
    yield sys.executable
    named = shutil.which(f"python{version}")
    if named is not None:
        yield named
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from map(str, sorted(versions.glob(f"{version}.*/bin/python3"), reverse=True))


def _version(python: str) -> str | None:
    # A shim of pyenv exists also for versions that are not selected, and fails.
    program = "import sys; print('{}.{}'.format(*sys.version_info))"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
