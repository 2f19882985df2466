"""The settings of `Client(engine=...)`, and the download of its model.

The argument wins over `TENUTO_…` variables, which win over `tenuto.toml`: as for `tenuto serve`,
whose sections `[engine]`, `[models]`, `[api]` and `[limits]` hold here too. `[server]` and
`[log]` do not: nothing listens, and no key is asked for.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from tenuto.core.extras import install
from tenuto.engine.registry import runtime_libraries
from tenuto.models.choice import choose
from tenuto.models.download import download
from tenuto.models.folder import ModelFolder
from tenuto.models.hub import Repository
from tenuto.models.names import Reference
from tenuto.settings import EngineSettings, Settings, load_with_origins

# A script that names a large model wants it, however long it takes to load.
_LOAD_WAIT_S = 3600.0


def embedded_settings(engine: str) -> Settings:
    """Return the settings of an embedded server.

    Args:
        engine: `local`, `local:MODEL` or `echo`.

    Raises:
        ValueError: There is no such engine, or a setting is wrong.
        ImportError: No library is installed that runs models.
    """
    kind, _, model = engine.partition(":")
    if kind not in ("local", "echo") or (kind == "echo" and model):
        raise ValueError(f"no engine {engine!r}; there are: local, local:MODEL, echo")
    loaded = load_with_origins()
    settings = loaded.settings
    local = settings.engine.local
    if model:
        local = replace(local, model=model)
    if ("engine", "local", "load_wait_s") not in loaded.origins:
        local = replace(local, load_wait_s=_LOAD_WAIT_S)
    if kind == "local":
        _check_installed(local.runtime)
        chosen = EngineSettings(name="local", local=local)
    else:
        chosen = EngineSettings(name="echo", local=local)
    return Settings(engine=chosen, models=settings.models, api=settings.api, limits=settings.limits)


def _check_installed(runtime: str) -> None:
    libraries = runtime_libraries()
    wanted = list(libraries.values()) if runtime == "auto" else [libraries[runtime]]
    if not any(find_spec(library) for library in wanted):
        raise ImportError(
            f"the embedded engine is not installed ({' and '.join(wanted)} missing); "
            f"{install('local')}"
        )


def download_quietly(reference: Reference, folder: ModelFolder) -> Path:
    """Download a model without reporting progress."""
    repository = Repository(reference.repo)
    found = choose(reference, repository.files)
    return download(repository, found, reference.repo, folder, lambda _: None)
