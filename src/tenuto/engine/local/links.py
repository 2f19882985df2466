"""Symbolic links to a model's files, also temporary ones for libraries that require a name.

The hub's cache stores a file under its checksum, without a suffix, and links to it by its name.
OpenVINO recognises a GGUF file by its suffix alone, and llama.cpp finds the parts of a split model
by their names, so links are followed no further than needed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

# The limit of Linux.
_MOST_LINKS: Final = 40

_SUFFIX: Final = ".gguf"


def steps(path: Path) -> Iterator[Path]:
    """Yield a path and, if it is a link, each path on the way to the file."""
    for _ in range(_MOST_LINKS):
        yield path
        if not path.is_symlink():
            return
        # Links of the folder are left to the system, because `..` depends on them.
        path = path.parent / path.readlink()


def named(path: Path) -> Path:
    """Return the first path on the way to a file with the suffix of GGUF; else the path."""
    return next((step for step in steps(path) if step.suffix == _SUFFIX), path)


@contextlib.contextmanager
def readable(files: Sequence[Path]) -> Iterator[Path]:
    """Yield a path of a model's first file that every runtime can open.

    Libraries require UTF-8, and the suffix of GGUF. Other paths, of all files of a model or of its
    folder, are linked to from a temporary folder, if one can be made.
    """
    first = files[0].absolute()
    if _is_plain(first):
        yield first
        return
    # Imported late because most paths are plain.
    import tempfile

    with contextlib.ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenuto-")))
            yielded = _linked(folder, files)
        except OSError:
            yielded = first
        yield yielded


def _is_plain(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return path.suffix == _SUFFIX or path.is_dir()


def _linked(folder: Path, files: Sequence[Path]) -> Path:
    names = [f"model-{number:05}-of-{len(files):05}.gguf" for number in range(1, len(files) + 1)]
    if len(files) == 1:
        names = ["model" if files[0].is_dir() else "model.gguf"]
    for name, file in zip(names, files, strict=True):
        (folder / name).symlink_to(file.absolute())
    return folder / names[0]
