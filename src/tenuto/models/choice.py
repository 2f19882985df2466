"""Choose the file of a repository that a reference names. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tenuto.models import names
from tenuto.models.errors import ModelUnavailable, size_text
from tenuto.models.names import Reference

# Companions of models, which do not run on their own.
_COMPANIONS: Final = ("mmproj", "imatrix")

# The default choice. Q8_0 loses nothing noticeable, and OpenVINO reads it; larger models default
# to 4 bits, because most machines cannot hold them otherwise.
_Q8_0_UP_TO: Final = 4_000_000_000
_PREFERRED: Final = ("Q4_K_M", "Q4_0", "Q4_K_S", "Q5_K_M", "Q6_K", "Q8_0")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the hub.

    Attributes:
        path: Within the repository.
        size: In bytes.
        sha256: SHA-256 of the content, in hexadecimal; None outside Git LFS.
        blob_id: Git's name of the content: the SHA-1 of a header and the content.
    """

    path: str
    size: int
    sha256: str | None
    blob_id: str | None = None


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model on the hub: one file, or all parts of a split model."""

    files: tuple[RemoteFile, ...]

    @property
    def path(self) -> str:
        """Path of the first file within the repository."""
        return self.files[0].path

    @property
    def size(self) -> int:
        """Size of all files, in bytes."""
        return sum(file.size for file in self.files)


def choose(reference: Reference, files: Sequence[RemoteFile]) -> RemoteModel:
    """Return the model that a reference names.

    A reference names a file by its path, its name, or its quantisation, in either case. A bare
    repository stands for its only model, or for one of a usual quantisation. `files` are all files
    of the repository.

    Raises:
        ModelUnavailable: No file or several files match, or parts are missing.
    """
    by_path = {file.path: file for file in files}
    sizes = dict.fromkeys(filter(_is_model, by_path), 0)
    for path, file in by_path.items():
        if (first := names.first_file(path)) in sizes:
            sizes[first] += file.size
    if not sizes:
        raise ModelUnavailable(
            f"{reference.repo}: holds no GGUF file; look for a repository whose name ends in "
            "-GGUF, or convert the model",
            user_error=True,
        )
    matches = _matches(reference.file, sizes, by_path)
    if len(matches) != 1:
        problem = "several files match" if matches else f"has no {reference.file!r}; it has"
        choices = "; ".join(f"{path} ({size_text(sizes[path])})" for path in matches or sizes)
        raise ModelUnavailable(
            f"{reference.repo}: {problem}: {choices}. Write {reference.repo}:NAME",
            user_error=True,
        )
    paths = names.parts(matches[0])
    missing = [path for path in paths if path not in by_path]
    if missing:
        raise ModelUnavailable(f"{reference.repo}: the part {missing[0]} is not on the hub")
    return RemoteModel(tuple(by_path[path] for path in paths))


def _is_model(path: str) -> bool:
    """Return whether a path is a safe GGUF file that starts a model."""
    name = path.rpartition("/")[2].lower()
    return (
        path.endswith(names.GGUF)
        and names.is_file(path)
        and names.first_file(path) == path
        and not any(word in name for word in _COMPANIONS)
    )


def _matches(
    wanted: str | None, sizes: Mapping[str, int], by_path: Mapping[str, RemoteFile]
) -> list[str]:
    if wanted is None:
        return list(sizes) if len(sizes) == 1 else _usual(sizes)
    if wanted in by_path and wanted.endswith(names.GGUF):
        return [names.first_file(wanted)]
    lower = wanted.lower()
    by_name = [path for path in sizes if lower in _short_names(path)]
    return by_name or [path for path in sizes if (names.quantisation(path) or "").lower() == lower]


def _usual(sizes: Mapping[str, int]) -> list[str]:
    """Return the model of the best quantisation to start with; all models if none is unique."""
    kinds: dict[str | None, list[str]] = {}
    for path in sizes:
        kinds.setdefault(names.quantisation(path), []).append(path)
    small = [path for path in kinds.get("Q8_0", []) if sizes[path] <= _Q8_0_UP_TO]
    if len(small) == 1:
        return small
    return next((kinds[kind] for kind in _PREFERRED if len(kinds.get(kind, [])) == 1), list(sizes))


def _short_names(path: str) -> tuple[str, str]:
    return path.rpartition("/")[2].lower(), names.stem(path).lower()
