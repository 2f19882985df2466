"""Download models for the commands, with a progress bar on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tenuto.cli.failure import Stopped
from tenuto.cli.terminal import note, progress
from tenuto.models.errors import size_text

if TYPE_CHECKING:
    from tenuto.models.folder import ModelFolder
    from tenuto.models.names import Reference


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
