"""`[models]`: the folder of downloaded models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tenuto.settings.file import SettingsError
from tenuto.settings.variables import present


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """`[models]`: the models that `tenuto pull` downloads.

    Attributes:
        folder: Where they are kept. None: `tenuto/models` in the user's cache folder.
    """

    folder: Path | None = None


def models_folder(settings: ModelSettings, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of downloaded models: the setting, or else in the user's cache folder.

    Raises:
        SettingsError: The user has no home folder.
    """
    try:
        if settings.folder is not None:
            return settings.folder.expanduser()
        cache = Path(present(environment, "XDG_CACHE_HOME") or "")
        # The specification of XDG says that a relative path is to be ignored.
        return (
            (cache if cache.is_absolute() else _home(environment) / ".cache") / "tenuto" / "models"
        )
    except RuntimeError:
        raise SettingsError(
            "there is no home folder to keep models in: set TENUTO_MODELS_FOLDER, or XDG_CACHE_HOME"
        ) from None


def _home(environment: Mapping[str, str]) -> Path:
    """Return the user's home folder, also where HOME is empty.

    Raises:
        RuntimeError: There is none.
    """
    home = present(environment, "HOME")
    if home is not None:
        return Path(home)
    import pwd

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise RuntimeError from None
