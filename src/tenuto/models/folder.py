"""The folder of downloaded models.

    FOLDER/org/repo/path/in/repo.gguf
    FOLDER/org/repo/path/in/repo.gguf.0123456789ab.part     not complete yet

A file that is being downloaded carries the beginning of its checksum in its name: what is there of
it is only ever continued with the same content.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenuto.models import names
from tenuto.models.errors import ModelUnavailable

_PARTIAL: Final = re.compile(r"(?P<file>.+\.gguf)\.[0-9a-f]{12}\.part")


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A model in the folder.

    Attributes:
        repo: `org/repo`, where it came from.
        file: Its first file, within the repository.
        path: That file on this machine.
        size: Bytes that all its files take here, with what is not complete yet.
        complete: Whether all its files are here.
    """

    repo: str
    file: str
    path: Path
    size: int
    complete: bool

    @property
    def name(self) -> str:
        """`org/repo:file.gguf`, as `tenuto pull` and `--model` take it."""
        return f"{self.repo}:{self.file}"

    def is_called(self, text: str) -> bool:
        """Whether a text means this model: its name or a shorter one, in either case.

        Shorter names are the repository, the repository with a quantisation, and the file's name
        with or without its ending.
        """
        name = self.file.rpartition("/")[2]
        kind = names.quantisation(self.file)
        short = {self.name, self.repo, self.file, name, names.stem(self.file)}
        short |= {f"{self.repo}:{part}" for part in (kind, name, names.stem(self.file)) if part}
        return text.removeprefix(names.HUB).lower() in {each.lower() for each in short}


class ModelFolder:
    """Finds, places and removes downloaded models.

    Args:
        root: The folder; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, repo: str, file: str) -> Path:
        """Where a file of the hub belongs.

        Raises:
            ModelUnavailable: That would be outside the folder.
        """
        path = self.root / repo / file
        safe = names.is_repo(repo) and names.is_file(file)
        # A link within the folder may lead out of it, too.
        if not safe or not path.parent.resolve().is_relative_to(self.root.resolve() / repo):
            raise ModelUnavailable(f"{repo}:{file}: would be written outside {self.root}")
        return path

    def models(self) -> list[CachedModel]:
        """All models, complete or not, sorted by name."""
        found = {self._model(repo, file) for repo, file in self._files()}
        return sorted(found, key=lambda model: model.name.lower())

    def find(self, text: str) -> CachedModel:
        """The one complete model that a name means.

        Raises:
            ModelUnavailable: There is none of this name, or several.
        """
        return only(text, [model for model in self.models() if model.complete])

    def remove(self, model: CachedModel) -> None:
        """Deletes a model's files, whole and in part, and the folders that are empty then."""
        whole, partial = _here(self.place(model.repo, model.file))
        for path in (*whole, *partial):
            path.unlink(missing_ok=True)
        for folder in (self.root / model.repo / model.file).parents:
            if folder == self.root:
                break
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _files(self) -> Iterator[tuple[str, str]]:
        """Repository and first file of everything that is here, several times if it is split."""
        for path in self.root.glob("*/*/**/*"):
            partial = _PARTIAL.fullmatch(path.name)
            name = partial["file"] if partial else path.name
            if name.endswith(names.GGUF) and path.is_file():
                steps = path.with_name(name).relative_to(self.root).parts
                yield "/".join(steps[:2]), names.first_file("/".join(steps[2:]))

    def _model(self, repo: str, file: str) -> CachedModel:
        path = self.root / repo / file
        whole, partial = _here(path)
        size = sum(each.stat().st_size for each in (*whole, *partial))
        return CachedModel(repo, file, path, size, len(whole) == names.part_count(file))


def only(text: str, models: list[CachedModel]) -> CachedModel:
    """The one of these models that a name means.

    Raises:
        ModelUnavailable: None is, or several are.
    """
    found = [model for model in models if model.is_called(text)]
    # A whole name may be the beginning of nothing else.
    found = [model for model in found if model.name == text.removeprefix(names.HUB)] or found
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelUnavailable(
            f"{text}: there is no downloaded model of this name; `tenuto models` lists them",
            asked_wrongly=True,
        )
    listed = ", ".join(model.name for model in found)
    raise ModelUnavailable(f"{text}: which one? There are {listed}", asked_wrongly=True)


def partial_of(path: Path, checksum: str) -> Path:
    """Where a file is written until it is complete and checked."""
    return path.with_name(f"{path.name}.{checksum[:12]}.part")


def _here(first: Path) -> tuple[list[Path], list[Path]]:
    """Return the files of a model that are here: the complete ones, and the others.

    The folder is read once: a name may count more parts than any folder has files.
    """
    whole: list[Path] = []
    partial: list[Path] = []
    for path in first.parent.iterdir() if first.parent.is_dir() else ():
        match = _PARTIAL.fullmatch(path.name)
        name = match["file"] if match else path.name
        if names.first_file(name) == first.name and path.is_file():
            (partial if match else whole).append(path)
    return whole, partial
