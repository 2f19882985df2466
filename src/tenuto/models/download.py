"""Downloads a model: goes on where it stopped, and keeps only what has the right checksum.

The library's own download starts a large file from the beginning each time, and does not compare
checksums (see docs/decisions/0007-models-from-the-hub.md).
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
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from tenuto.models.choice import RemoteFile, RemoteModel
from tenuto.models.errors import ModelUnavailable, size_text
from tenuto.models.folder import ModelFolder, partial_of
from tenuto.models.hub import Broken, Chunks

_READ: Final = 1024 * 1024

# Tries in a row in which not a byte came, and the wait before the second; each next is twice it.
_MOST_TRIES: Final = 5
_FIRST_WAIT_S: Final = 0.5


class Source(Protocol):
    """Where the bytes come from: a `hub.Repository`."""

    def read(self, file: RemoteFile, start: int) -> AbstractContextManager[Chunks]:
        """See `hub.Repository.read`."""
        ...


Progress = Callable[[int], object]
"""Is told how many bytes of the model are here, whenever that changes."""


def download(
    source: Source, model: RemoteModel, repo: str, folder: ModelFolder, progress: Progress
) -> Path:
    """Downloads what is missing of a model.

    Whatever ends it, a later call goes on from there.

    Args:
        source: Its repository.
        model: Its files.
        repo: `org/repo`.
        folder: Where they are put.
        progress: See there.

    Returns:
        Its first file.

    Raises:
        ModelUnavailable: It cannot be downloaded, there is no room for it, or what came is not
            what the hub announced.
    """
    paths = [folder.place(repo, file.path) for file in model.files]
    _check_space(folder.root, model, paths)
    before = 0
    for file, path in zip(model.files, paths, strict=True):
        if not _is_here(file, path):
            _File(source, file, path, before, progress).get()
        before += file.size
        progress(before)
    return paths[0]


def remaining(model: RemoteModel, repo: str, folder: ModelFolder) -> int:
    """How many bytes of a model are still to come."""
    paths = [folder.place(repo, file.path) for file in model.files]
    return sum(map(_missing, model.files, paths))


def _is_here(file: RemoteFile, path: Path) -> bool:
    """Whether a file is here already. One of another length was made anew on the hub."""
    return path.is_file() and path.stat().st_size == file.size


def _missing(file: RemoteFile, path: Path) -> int:
    if _is_here(file, path):
        return 0
    partial = partial_of(path, _checksum(file))
    return file.size - min(file.size, partial.stat().st_size if partial.is_file() else 0)


def _check_space(root: Path, model: RemoteModel, paths: list[Path]) -> None:
    needed = sum(map(_missing, model.files, paths))
    there = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise ModelUnavailable(
            f"{model.path}: {size_text(needed)} are to be downloaded, and {size_text(free)} are "
            f"free in {root}; choose a smaller quantisation, or another folder with "
            "TENUTO_MODELS_FOLDER"
        )


def _checksum(file: RemoteFile) -> str:
    checksum = file.sha256 or file.blob_id
    if not checksum:
        raise ModelUnavailable(f"{file.path}: the hub tells no checksum, so it is not downloaded")
    return checksum


def _hash(file: RemoteFile) -> hashlib._Hash:
    if file.sha256:
        return hashlib.sha256()
    # Git's own, for the small files that it keeps itself.
    return hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)


class _File:
    """One file on its way."""

    def __init__(
        self, source: Source, file: RemoteFile, path: Path, before: int, progress: Progress
    ) -> None:
        self._source = source
        self._file = file
        self._path = path
        self._before = before
        self._progress = progress

    def get(self) -> None:
        """Downloads what is missing, checks the whole, and gives it its name."""
        partial = partial_of(self._path, _checksum(self._file))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(partial) as out:
                if _is_here(self._file, self._path):
                    # Another process finished it between the look and the lock.
                    partial.unlink()
                    return
                self._fill(out)
                out.flush()
                os.fsync(out.fileno())
                if self._digest(out) != _checksum(self._file).lower():
                    partial.unlink()
                    raise ModelUnavailable(
                        f"{self._file.path}: what came has not the checksum that the hub "
                        "announced, and was deleted; run the command again"
                    )
                partial.replace(self._path)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = "; what came is kept: make room, and run the command again" if full else ""
            raise ModelUnavailable(f"{partial}: {error.strerror or error}{remedy}") from None

    def _fill(self, out: BinaryIO) -> None:
        tries = 0
        here = out.seek(0, os.SEEK_END)
        if here > self._file.size:
            here = out.truncate(0)
        while here < self._file.size:
            self._progress(self._before + here)
            try:
                self._read_from(out, here)
            except Broken as error:
                tries = 1 if out.tell() > here else tries + 1
                if tries == _MOST_TRIES:
                    raise ModelUnavailable(
                        f"{self._file.path}: {error}; what came is kept, run the command again "
                        "to go on"
                    ) from None
                time.sleep(_FIRST_WAIT_S * 2 ** (tries - 1))
            here = out.tell()

    def _read_from(self, out: BinaryIO, start: int) -> None:
        with self._source.read(self._file, start) as chunks:
            here = out.seek(chunks.start)
            out.truncate()
            for chunk in chunks:
                here += len(chunk)
                if here > self._file.size:
                    raise ModelUnavailable(
                        f"{self._file.path}: the hub sends more than the "
                        f"{size_text(self._file.size)} that it announced"
                    )
                out.write(chunk)
                self._progress(self._before + here)
        if here < self._file.size:
            raise Broken("the file ended too early")

    def _digest(self, out: BinaryIO) -> str:
        digest = _hash(self._file)
        out.seek(0)
        while chunk := out.read(_READ):
            digest.update(chunk)
        return digest.hexdigest()


@contextmanager
def _locked(partial: Path) -> Iterator[BinaryIO]:
    """Opens a file for one process alone.

    Raises:
        ModelUnavailable: Another process is writing it.
    """
    while True:
        with partial.open("ab+", buffering=0) as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ModelUnavailable(
                    f"{partial.name}: another process is downloading this file; wait for it"
                ) from None
            # It may have been finished by another between our opening and our locking.
            if partial.exists() and partial.stat().st_ino == os.fstat(opened.fileno()).st_ino:
                with partial.open("rb+") as out:
                    yield out
                return
