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
        folder: Their folder. None: `tenuto/models` in the user's cache folder.
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
        # The XDG specification requires relative paths to be ignored.
        if not cache.is_absolute():
            cache = _home(environment) / ".cache"
    except RuntimeError:
        raise SettingsError(
            "there is no home folder to keep models in: set TENUTO_MODELS_FOLDER, or XDG_CACHE_HOME"
        ) from None
    return cache / "tenuto" / "models"


def _home(environment: Mapping[str, str]) -> Path:
    """Return the user's home folder, even with an empty HOME.

    Raises:
        RuntimeError: The user has no home folder.
    """
    if (home := present(environment, "HOME")) is not None:
        return Path(home)
    import pwd

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise RuntimeError from None
