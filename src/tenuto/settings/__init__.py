"""Settings: a module for each section, and `loader` for the file and the environment."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenuto.settings.api import ApiSettings
    from tenuto.settings.engine import EngineSettings, LocalSettings
    from tenuto.settings.file import SettingsError
    from tenuto.settings.limits import LimitSettings
    from tenuto.settings.loader import Loaded, Settings, load, load_with_origins
    from tenuto.settings.log import LogSettings
    from tenuto.settings.models import ModelSettings, models_folder
    from tenuto.settings.server import ServerSettings, bare_host

__all__ = [
    "ApiSettings",
    "EngineSettings",
    "LimitSettings",
    "Loaded",
    "LocalSettings",
    "LogSettings",
    "ModelSettings",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "bare_host",
    "load",
    "load_with_origins",
    "models_folder",
]

# Imported late, because a client of a server needs `settings.client` alone.
_HOMES = {
    "api": "ApiSettings",
    "engine": "EngineSettings LocalSettings",
    "file": "SettingsError",
    "limits": "LimitSettings",
    "loader": "Loaded Settings load load_with_origins",
    "log": "LogSettings",
    "models": "ModelSettings models_folder",
    "server": "ServerSettings bare_host",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
