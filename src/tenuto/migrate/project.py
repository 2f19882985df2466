"""The project of a Python source: which modules are its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tenuto.migrate.python.source import Surroundings

_MOST_FOLDERS: Final = 12


def surroundings(path: str) -> Surroundings:
    """Return what is known of a file besides its text."""
    return Surroundings(path, lambda name: _is_beside(Path(path), name))


def _is_beside(path: Path, name: str) -> bool:
    """Return whether a dotted name begins with a module in a folder above a file."""
    first, _, rest = name.partition(".")
    if not first.isidentifier():
        return False
    second = rest.partition(".")[0]
    for folder in [*path.absolute().parents][:_MOST_FOLDERS]:
        if (folder / f"{first}.py").is_file():
            return True
        inner = folder / first
        if inner.is_dir() and ((inner / f"{second}.py").is_file() or (inner / second).is_dir()):
            return True
        if (folder / ".git").exists():
            return False
    return False
