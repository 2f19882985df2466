"""Download a model: continue incomplete files, and keep only content with the right checksum.

The hub library's own download restarts large files, and does not compare checksums (see
docs/decisions/0007-models-from-the-hub.md).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeAlias

from tenuto.models.choice import RemoteFile, RemoteModel
from tenuto.models.errors import ModelUnavailable, size_text
from tenuto.models.folder import ModelFolder, partial_of
from tenuto.models.hub import Broken, Content

_READ: Final = 1024 * 1024

# Attempts in a row without a byte. The wait before the second doubles for each further one.
_MAX_ATTEMPTS: Final = 5
_FIRST_WAIT_S: Final = 0.5

Progress: TypeAlias = Callable[[int], object]
"""Callback with the number of bytes on disk, on every change."""


class Source(Protocol):
    """A place that sends files: a `hub.Repository`."""

    def read(self, file: RemoteFile, start: int) -> AbstractContextManager[Content]: ...


def download(
    source: Source, model: RemoteModel, repo: str, folder: ModelFolder, progress: Progress
) -> Path:
    """Download the missing parts of a model from `repo`, and return its first file.

    A later call continues an interrupted one.

    Raises:
        ModelUnavailable: The download failed, the disk is too small, or the content differs from
            the hub's checksum.
    """
    paths = _paths(model, repo, folder)
    _check_space(folder.root, model, paths)
    before = 0
    for file, path in zip(model.files, paths, strict=True):
        if not _is_present(file, path):
            _FileDownload(source, file, path, before, progress).run()
        before += file.size
        progress(before)
    return paths[0]


def remaining(model: RemoteModel, repo: str, folder: ModelFolder) -> int:
    """Return the number of bytes of a model still to download."""
    return sum(map(_missing, model.files, _paths(model, repo, folder)))


def _paths(model: RemoteModel, repo: str, folder: ModelFolder) -> list[Path]:
    return [folder.place(repo, file.path) for file in model.files]


def _is_present(file: RemoteFile, path: Path) -> bool:
    """Return whether a file is on disk. Another length means a newer version on the hub."""
    return path.is_file() and path.stat().st_size == file.size


def _missing(file: RemoteFile, path: Path) -> int:
    if _is_present(file, path):
        return 0
    partial = partial_of(path, _checksum(file))
    return file.size - min(file.size, partial.stat().st_size if partial.is_file() else 0)


def _check_space(root: Path, model: RemoteModel, paths: list[Path]) -> None:
    needed = sum(map(_missing, model.files, paths))
    existing = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise ModelUnavailable(
            f"{model.path}: needs {size_text(needed)}, and only {size_text(free)} are free in "
            f"{root}; choose a smaller quantisation, or another folder with TENUTO_MODELS_FOLDER"
        )


def _checksum(file: RemoteFile) -> str:
    checksum = file.sha256 or file.blob_id
    if not checksum:
        raise ModelUnavailable(f"{file.path}: the hub sent no checksum, so it is not downloaded")
    return checksum


def _hash(file: RemoteFile) -> hashlib._Hash:
    if file.sha256:
        return hashlib.sha256()
    # Git's own checksum, for small files outside Git LFS.
    return hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)


@dataclass
class _FileDownload:
    _source: Source
    _file: RemoteFile
    _path: Path
    _before: int
    _progress: Progress

    def run(self) -> None:
        """Download the missing bytes, check the checksum, and rename the file."""
        partial = partial_of(self._path, _checksum(self._file))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(partial) as out:
                if _is_present(self._file, self._path):
                    # Another process finished the file before the lock was free.
                    partial.unlink()
                    return
                self._fill(out)
                out.flush()
                os.fsync(out.fileno())
                if self._digest(out) != _checksum(self._file).lower():
                    partial.unlink()
                    raise ModelUnavailable(
                        f"{self._file.path}: checksum mismatch, and the file was deleted; run the "
                        "command again"
                    )
                partial.replace(self._path)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = "; free some space, and run the command again to continue" if full else ""
            raise ModelUnavailable(f"{partial}: {error.strerror or error}{remedy}") from None

    def _fill(self, out: BinaryIO) -> None:
        attempts = 0
        position = out.seek(0, os.SEEK_END)
        if position > self._file.size:
            position = out.truncate(0)
        while position < self._file.size:
            self._progress(self._before + position)
            try:
                self._read_from(out, position)
            except Broken as error:
                attempts = 1 if out.tell() > position else attempts + 1
                if attempts == _MAX_ATTEMPTS:
                    raise ModelUnavailable(
                        f"{self._file.path}: {error}; run the command again to continue"
                    ) from None
                time.sleep(_FIRST_WAIT_S * 2 ** (attempts - 1))
            position = out.tell()

    def _read_from(self, out: BinaryIO, start: int) -> None:
        with self._source.read(self._file, start) as (first, chunks):
            position = out.seek(first)
            out.truncate()
            for chunk in chunks:
                position += len(chunk)
                if position > self._file.size:
                    raise ModelUnavailable(
                        f"{self._file.path}: the hub sends more than the announced "
                        f"{size_text(self._file.size)}; run the command again"
                    )
                out.write(chunk)
                self._progress(self._before + position)
        if position < self._file.size:
            raise Broken("the file ended too early")

    def _digest(self, out: BinaryIO) -> str:
        digest = _hash(self._file)
        out.seek(0)
        while chunk := out.read(_READ):
            digest.update(chunk)
        return digest.hexdigest()


@contextmanager
def _locked(partial: Path) -> Iterator[BinaryIO]:
    """Open a file for this process alone."""
    while True:
        with partial.open("ab+", buffering=0) as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ModelUnavailable(
                    f"{partial.name}: another process is downloading this file; wait for it"
                ) from None
            # Another process may have renamed the file between opening and locking.
            if partial.exists() and partial.stat().st_ino == os.fstat(opened.fileno()).st_ino:
                with partial.open("rb+") as out:
                    yield out
                return
