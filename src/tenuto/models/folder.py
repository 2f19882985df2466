"""The folder of downloaded models, and the resolution of `--model` and of the setting.

    FOLDER/org/repo/path/in/repo.gguf
    FOLDER/org/repo/path/in/repo.gguf.0123456789ab.part     incomplete

The name of an incomplete file holds the beginning of its checksum, so that a download is only
continued with the same content.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenuto.models import names
from tenuto.models.errors import ModelUnavailable
from tenuto.models.names import Reference

_PARTIAL: Final = re.compile(r"(?P<file>.+\.gguf)\.[0-9a-f]{12}\.part")


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A model in the folder.

    Attributes:
        repo: The repository of its origin, `org/repo`.
        file: Its first file, within the repository.
        path: That file on this machine.
        size: Bytes of all its files on this machine, incomplete ones included.
        complete: Whether all its files are complete.
    """

    repo: str
    file: str
    path: Path
    size: int
    complete: bool

    @property
    def name(self) -> str:
        """`org/repo:file.gguf`, as `tenuto pull` and `--model` accept it."""
        return f"{self.repo}:{self.file}"

    def matches(self, text: str) -> bool:
        """Return whether a text is the model's name or a shorter one, in either case.

        Shorter names are the repository, the repository with a quantisation, and the file's name
        with or without its ending.
        """
        name, stem = self.file.rpartition("/")[2], names.stem(self.file)
        in_repo = filter(None, (self.file, name, stem, names.quantisation(self.file)))
        accepted = [self.repo, self.file, name, stem, *(f"{self.repo}:{one}" for one in in_repo)]
        return text.removeprefix(names.HUB).lower() in {each.lower() for each in accepted}


class ModelFolder:
    """Find, place and remove downloaded models in the folder `root`, which need not exist."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, repo: str, file: str) -> Path:
        """Return the path of a file of the hub.

        Raises:
            ModelUnavailable: The path would be outside the folder.
        """
        path = self.root / repo / file
        safe = names.is_repo(repo) and names.is_file(file)
        # A link within the folder may lead out of it, too.
        if not safe or not path.parent.resolve().is_relative_to(self.root.resolve() / repo):
            raise ModelUnavailable(f"{repo}:{file}: would be written outside {self.root}")
        return path

    def models(self) -> list[CachedModel]:
        """Return all models, complete or not, sorted by name."""
        found = {self._model(repo, file) for repo, file in self._files()}
        return sorted(found, key=lambda model: model.name.lower())

    def find(self, text: str) -> CachedModel:
        """Return the complete model of a name. See `only`."""
        return only(text, [model for model in self.models() if model.complete])

    def remove(self, model: CachedModel) -> None:
        """Delete a model's files, incomplete ones included, and the folders left empty."""
        whole, partial = _files_of(self.place(model.repo, model.file))
        for path in (*whole, *partial):
            path.unlink(missing_ok=True)
        for folder in (self.root / model.repo / model.file).parents:
            if folder == self.root:
                break
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _files(self) -> Iterator[tuple[str, str]]:
        """Yield the repository and the model's first file, for every file in the folder."""
        for path in self.root.glob("*/*/**/*"):
            name = _name_of(path)[0]
            if name.endswith(names.GGUF) and path.is_file():
                steps = path.with_name(name).relative_to(self.root).parts
                yield "/".join(steps[:2]), names.first_file("/".join(steps[2:]))

    def _model(self, repo: str, file: str) -> CachedModel:
        path = self.root / repo / file
        whole, partial = _files_of(path)
        size = sum(each.stat().st_size for each in (*whole, *partial))
        return CachedModel(repo, file, path, size, len(whole) == len(names.parts(file)))


def only(text: str, models: list[CachedModel]) -> CachedModel:
    """Return the one model of a name.

    Raises:
        ModelUnavailable: No model or several models match.
    """
    found = [model for model in models if model.matches(text)]
    # The whole name of one model may be a shorter name of another.
    found = [model for model in found if model.name == text.removeprefix(names.HUB)] or found
    if len(found) == 1:
        return found[0]
    if found:
        problem = f"several models match; write one of {', '.join(model.name for model in found)}"
    else:
        problem = "there is no downloaded model of this name; `tenuto models` lists them"
    raise ModelUnavailable(f"{text}: {problem}", user_error=True)


def _existing(model: str | Path) -> Path | None:
    """Return the model as a path; None for a name. Downloaded models are not searched."""
    text = str(model)
    if text.startswith(names.HUB):
        return None
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise ModelUnavailable(
            f"{text}: the home folder of ~ is unknown; write the whole path", user_error=True
        ) from None
    return path if os.path.exists(path) or isinstance(model, Path) else None  # noqa: PTH110


def resolve(
    model: str | Path,
    open_folder: Callable[[], ModelFolder],
    download: Callable[[Reference, ModelFolder], Path],
) -> Path:
    """Return the file of a model. A path wins over a name, and a name over the network.

    `open_folder` is not called for a path, which works without a home folder. `download` returns
    the file of a reference.

    Raises:
        ModelUnavailable: The file or model does not exist, or its download failed.
    """
    if (path := _existing(model)) is not None:
        return path
    text, folder = str(model), open_folder()
    if text.startswith(names.HUB):
        reference = names.parse(text)
        found = [each for each in folder.models() if each.complete and each.matches(text)]
        return only(text, found).path if found else download(reference, folder)
    try:
        return folder.find(text).path
    except ModelUnavailable:
        if any(each.matches(text) for each in folder.models()):
            raise
        raise ModelUnavailable(
            f"{text}: there is no such file, and no downloaded model of this name; `tenuto "
            "models` lists those, and hf:org/repo downloads one",
            user_error=True,
        ) from None


def partial_of(path: Path, checksum: str) -> Path:
    """Return the path of a file until it is complete and checked."""
    return path.with_name(f"{path.name}.{checksum[:12]}.part")


def _name_of(path: Path) -> tuple[str, bool]:
    """Return a file's name when complete, and whether it is incomplete."""
    match = _PARTIAL.fullmatch(path.name)
    return (match["file"], True) if match else (path.name, False)


def _files_of(first: Path) -> tuple[list[Path], list[Path]]:
    """Return the complete files of a model, and the incomplete ones.

    The folder is listed once, because a name may count more parts than any folder has files.
    """
    whole: list[Path] = []
    partial: list[Path] = []
    for path in first.parent.iterdir() if first.parent.is_dir() else ():
        name, incomplete = _name_of(path)
        if names.first_file(name) == first.name and path.is_file():
            (partial if incomplete else whole).append(path)
    return whole, partial
