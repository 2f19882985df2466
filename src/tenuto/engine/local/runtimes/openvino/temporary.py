"""Temporary files for libraries that take paths alone, also where file systems are read-only."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108

# The largest file that is copied because it cannot be written: it may take as much memory.
_MOST_COPIED: Final = 256 * 1024 * 1024


class NoFolder(OSError):
    """No folder is writable. The message is one line, with a remedy."""


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder, and delete it in the end.

    Raises:
        NoFolder: None can be made.
    """
    # Where all file systems are read-only, as in hardened containers, memory may still be shared.
    for parent in (None, _SHARED_MEMORY):
        try:
            folder = tempfile.mkdtemp(prefix="tenuto-", dir=parent)
        except OSError:
            continue
        try:
            yield Path(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    raise NoFolder(
        "OpenVINO needs a writable folder to read a GGUF file, and there is none; set TMPDIR to one"
    )


@contextlib.contextmanager
def writable(path: Path) -> Iterator[Path]:
    """Give a GGUF file a path that can be opened for writing, as OpenVINO does to read it.

    Raises:
        NoFolder: It cannot be written, and there is no room for a copy.
    """
    if path.is_dir() or os.access(path, os.W_OK):
        yield path
        return
    if path.stat().st_size > _MOST_COPIED:
        raise NoFolder(
            "OpenVINO opens GGUF files for writing, and this one is read-only; make it writable, "
            "or set `runtime` to `llamacpp`"
        )
    with temporary_folder() as folder:
        copy = folder / "model.gguf"
        try:
            shutil.copyfile(path, copy)
        except OSError as error:
            raise NoFolder(
                "OpenVINO opens GGUF files for writing, and this one is read-only and cannot be "
                f"copied ({error.strerror}); set TMPDIR to a folder with more room"
            ) from None
        yield copy
