"""Open engines and download models for the commands, with a progress bar on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tenuto.cli import output
from tenuto.cli.failure import Failure
from tenuto.engine.base import Engine
from tenuto.models.errors import ModelUnavailable, size_text
from tenuto.service import open_engine
from tenuto.settings import Settings

if TYPE_CHECKING:
    from tenuto.models.folder import ModelFolder
    from tenuto.models.names import Reference


def engine_of(settings: Settings) -> Engine:
    """Return the engine of the settings, not started yet. Download its model if need be.

    Raises:
        Failure: The model does not exist, or its download failed.
        ModelError: See `open_engine`.
    """
    with explained():
        return open_engine(settings, fetch)


def fetch(reference: Reference, folder: ModelFolder) -> Path:
    """Downloads a model, or what is missing of it.

    Raises:
        ModelUnavailable: See `download`.
        KeyboardInterrupt: Ctrl-C; what came is kept.
    """
    from tenuto.models.choice import choose
    from tenuto.models.download import download, remaining
    from tenuto.models.hub import Repository

    repository = Repository(reference.repo)
    model = choose(reference, repository.files)
    name = f"{reference.repo}:{model.path}"
    missing = remaining(model, reference.repo, folder)
    if missing:
        there = "" if missing == model.size else f", {size_text(model.size - missing)} are here"
        output.note(f"Downloading {name} ({size_text(model.size)}{there}).")
    try:
        with _progress(model.size, shown=bool(missing)) as progress:
            return download(repository, model, reference.repo, folder, progress)
    except KeyboardInterrupt:
        output.note("\nStopped. What came is kept; run the command again to go on.")
        raise


@contextmanager
def explained() -> Iterator[None]:
    """Turns what is wrong with a model into the failure of a command."""
    try:
        yield
    except ModelUnavailable as error:
        raise Failure(str(error), 2 if error.user_error else 1) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Failure(f"{where}{error.strerror or error}") from None


@contextmanager
def _progress(size: int, *, shown: bool) -> Iterator[Callable[[int], object]]:
    """A bar on the terminal. Gives what it is told: the bytes that are here."""
    if not (shown and output.is_terminal()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=size)
        yield lambda here: bar.update(task, completed=here)
