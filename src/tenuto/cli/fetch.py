"""Open engines and download models for the commands, with a progress bar on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tenuto.cli.failure import Failure, Stopped
from tenuto.cli.progress import progress
from tenuto.cli.terminal import note
from tenuto.engine.base import Engine
from tenuto.models.errors import ModelUnavailable, size_text
from tenuto.service import open_engine
from tenuto.settings import Settings

if TYPE_CHECKING:
    from tenuto.models.folder import ModelFolder
    from tenuto.models.names import Reference


def engine_of(settings: Settings) -> Engine:
    """Return the engine of the settings, not started yet. Download its model if it is missing.

    Raises:
        Failure: The model does not exist, or its download failed.
        ModelError: See `open_engine`.
    """
    with explained():
        return open_engine(settings, fetch)


def fetch(reference: Reference, folder: ModelFolder) -> Path:
    """Download a model, or the missing part of it.

    Raises:
        ModelUnavailable: See `download`.
        Stopped: Ctrl-C; the downloaded part is kept.
    """
    from tenuto.models.choice import choose
    from tenuto.models.download import download, remaining
    from tenuto.models.hub import Repository

    repository = Repository(reference.repo)
    model = choose(reference, repository.files)
    name = f"{reference.repo}:{model.path}"
    missing = remaining(model, reference.repo, folder)
    if missing:
        done = "" if missing == model.size else f", {size_text(model.size - missing)} are here"
        note(f"Downloading {name} ({size_text(model.size)}{done}).")
    try:
        with progress("", model.size, in_bytes=True) as show:
            return download(repository, model, reference.repo, folder, show)
    except KeyboardInterrupt:
        remark = "Stopped. The downloaded part is kept; run the command again to resume."
        raise Stopped(remark) from None


@contextmanager
def explained() -> Iterator[None]:
    """Raise the errors of models as failures of the command."""
    try:
        yield
    except ModelUnavailable as error:
        raise Failure(str(error), 2 if error.user_error else 1) from None
