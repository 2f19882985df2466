"""Which file of a repository is meant. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tenuto.models import names
from tenuto.models.errors import ModelUnavailable, size_text
from tenuto.models.names import Reference

# Companions of models, which cannot be run by themselves.
_NO_MODELS: Final = ("mmproj", "imatrix")

# What is taken when nothing is asked for. Q8_0 loses nothing that can be noticed, and OpenVINO
# reads it; a larger model is taken in 4 bits, since most machines could not hold it otherwise.
_Q8_0_UP_TO: Final = 4_000_000_000
_PREFERRED: Final = ("Q4_K_M", "Q4_0", "Q4_K_S", "Q5_K_M", "Q6_K", "Q8_0")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the hub.

    Attributes:
        path: Within the repository.
        size: In bytes.
        sha256: Of its content, in hexadecimal; None if it is not kept by Git LFS.
        blob_id: Git's name for its content: the SHA-1 of a header and the content.
    """

    path: str
    size: int
    sha256: str | None
    blob_id: str | None = None


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model on the hub: one file, or all parts of it."""

    files: tuple[RemoteFile, ...]

    @property
    def path(self) -> str:
        """Its first file's, within the repository."""
        return self.files[0].path

    @property
    def size(self) -> int:
        """Of all its files, in bytes."""
        return sum(file.size for file in self.files)


def choose(reference: Reference, files: Sequence[RemoteFile]) -> RemoteModel:
    """The model that a reference means.

    A file is meant by its path, its name, or its quantisation in either case. When nothing is
    said, it is the only model, or one of a usual quantisation.

    Args:
        reference: What was asked for.
        files: All files of its repository.

    Raises:
        ModelUnavailable: There is none, several fit, or parts are missing.
    """
    by_path = {file.path: file for file in files}
    models = [file.path for file in files if _is_model(file.path)]
    if not models:
        raise ModelUnavailable(
            f"{reference.repo}: holds no GGUF file; look for a repository whose name ends in "
            "-GGUF, or convert the model",
            asked_wrongly=True,
        )
    fitting = _fitting(reference.file, models, by_path)
    if len(fitting) != 1:
        problem = "which file?" if fitting else f"has no {reference.file!r};"
        choices = "; ".join(_choice(path, by_path) for path in fitting or models)
        raise ModelUnavailable(
            f"{reference.repo}: {problem} There are: {choices}. Write {reference.repo}:NAME",
            asked_wrongly=True,
        )
    wanted = names.parts(fitting[0])
    missing = [path for path in wanted if path not in by_path]
    if missing:
        raise ModelUnavailable(f"{reference.repo}: the part {missing[0]} is not on the hub")
    return RemoteModel(tuple(by_path[path] for path in wanted))


def _is_model(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return (
        path.endswith(names.GGUF)
        and names.is_file(path)
        and names.first_part(path)
        and not any(word in name for word in _NO_MODELS)
    )


def _fitting(wanted: str | None, models: list[str], by_path: dict[str, RemoteFile]) -> list[str]:
    if wanted is None:
        return models if len(models) == 1 else _usual(models, by_path)
    if wanted in by_path and wanted.endswith(names.GGUF):
        return [names.first_file(wanted)]
    asked = wanted.lower()
    for named in (
        [path for path in models if asked in (_name(path), names.stem(path).lower())],
        [path for path in models if (names.quantisation(path) or "").lower() == asked],
    ):
        if named:
            return named
    return []


def _usual(models: list[str], by_path: dict[str, RemoteFile]) -> list[str]:
    """The one of the quantisation that is best to start with; all if that cannot be told."""
    kinds: dict[str | None, list[str]] = {}
    for path in models:
        kinds.setdefault(names.quantisation(path), []).append(path)
    small = [path for path in kinds.get("Q8_0", []) if _size(path, by_path) <= _Q8_0_UP_TO]
    if len(small) == 1:
        return small
    return next((kinds[kind] for kind in _PREFERRED if len(kinds.get(kind, [])) == 1), models)


def _name(path: str) -> str:
    return path.rpartition("/")[2].lower()


def _size(path: str, by_path: dict[str, RemoteFile]) -> int:
    return sum(by_path[part].size for part in names.parts(path) if part in by_path)


def _choice(path: str, by_path: dict[str, RemoteFile]) -> str:
    return f"{path} ({size_text(_size(path, by_path))})"
