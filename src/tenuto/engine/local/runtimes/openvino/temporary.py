"""Temporary files for libraries that only take paths, also on read-only file systems."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tenuto.engine.local.runtime import CannotLoad

_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108

# Copies of read-only files may be in memory.
_MAX_COPIED_BYTES: Final = 256 * 1024 * 1024


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a temporary folder, and delete it at the end.

    Raises:
        CannotLoad: No folder is writable.
    """
    # Hardened containers have read-only file systems, and often shared memory.
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
    raise CannotLoad(
        "OpenVINO needs a writable folder to read a GGUF file, and found none; set TMPDIR to one"
    )


@contextlib.contextmanager
def writable(path: Path) -> Iterator[Path]:
    """Return a path of a GGUF file that OpenVINO can open for writing, as it does to read it.

    Raises:
        CannotLoad: The file is read-only, and cannot be copied.
    """
    if path.is_dir() or os.access(path, os.W_OK):
        yield path
        return
    if path.stat().st_size > _MAX_COPIED_BYTES:
        raise CannotLoad(
            "OpenVINO opens GGUF files for writing, and this one is read-only; make it writable, "
            "or set `runtime` to `llamacpp`"
        )
    with temporary_folder() as folder:
        copy = folder / "model.gguf"
        try:
            shutil.copyfile(path, copy)
        except OSError as error:
            raise CannotLoad(
                "OpenVINO opens GGUF files for writing, and this one is read-only and cannot be "
                f"copied ({error.strerror}); set TMPDIR to a folder with more room"
            ) from None
        yield copy
