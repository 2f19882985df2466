"""What `--model` and the setting mean: a path, a downloaded model's name, or `hf:org/repo:file`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tenuto.models import names
from tenuto.models.errors import ModelUnavailable
from tenuto.models.folder import ModelFolder, only
from tenuto.models.names import Reference


def existing(model: str | Path) -> Path | None:
    """Return the path that a model is, without a look at the downloaded ones; None for a name.

    Raises:
        ModelUnavailable: It begins with `~`, and there is no such home folder.
    """
    text = str(model)
    if text.startswith(names.HUB):
        return None
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise ModelUnavailable(
            f"{text}: there is no home folder for ~", asked_wrongly=True
        ) from None
    return path if os.path.exists(path) or isinstance(model, Path) else None  # noqa: PTH110


def resolve(model: str | Path, folder: ModelFolder, pull: Callable[[Reference], Path]) -> Path:
    """The file of a model. What is there wins over a name, and a name over the network.

    Args:
        model: A path, a name, or a reference to the hub.
        folder: The downloaded models.
        pull: Downloads one that a reference means, and gives its file.

    Raises:
        ModelUnavailable: There is no such file or model, or it cannot be downloaded.
    """
    text = str(model)
    if text.startswith(names.HUB):
        reference = names.parse(text)
        here = [each for each in folder.models() if each.complete and each.is_called(text)]
        return only(text, here).path if here else pull(reference)
    if (path := existing(model)) is not None:
        return path
    try:
        return folder.find(text).path
    except ModelUnavailable as error:
        if not any(each.is_called(text) for each in folder.models()):
            raise ModelUnavailable(
                f"{text}: there is no such file, and no downloaded model of this name; `tenuto "
                "models` lists those, and hf:org/repo downloads one",
                asked_wrongly=True,
            ) from None
        raise error from None
