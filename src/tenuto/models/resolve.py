"""Resolve `--model` and the setting: a path, a downloaded model's name, or `hf:org/repo:file`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tenuto.models import names
from tenuto.models.errors import ModelUnavailable
from tenuto.models.folder import ModelFolder, only
from tenuto.models.names import Reference


def existing(model: str | Path) -> Path | None:
    """Return the model as a path; None for a name. Downloaded models are not searched.

    Raises:
        ModelUnavailable: The path begins with `~`, and the home folder is unknown.
    """
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


def resolve(model: str | Path, folder: ModelFolder, pull: Callable[[Reference], Path]) -> Path:
    """Return the file of a model. A path wins over a name, and a name over the network.

    Args:
        model: A path, a name, or a reference to the hub.
        folder: The downloaded models.
        pull: Downloads the model of a reference, and returns its file.

    Raises:
        ModelUnavailable: The file or model does not exist, or its download failed.
    """
    text = str(model)
    if text.startswith(names.HUB):
        reference = names.parse(text)
        found = [each for each in folder.models() if each.complete and each.matches(text)]
        return only(text, found).path if found else pull(reference)
    if (path := existing(model)) is not None:
        return path
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
