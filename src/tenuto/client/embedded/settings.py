"""Settings of `Client(engine=...)`, and the download of its model.

The argument takes precedence over `TENUTO_…` variables, and those over `tenuto.toml`, as for
`tenuto serve`. The sections `[engine]`, `[models]`, `[api]` and `[limits]` apply; `[server]` and
`[log]` do not, because nothing listens and no key is required.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tenuto.core.extras import check
from tenuto.engine.registry import runtime_libraries
from tenuto.models.choice import choose
from tenuto.models.download import download
from tenuto.models.folder import ModelFolder
from tenuto.models.hub import Repository
from tenuto.models.names import Reference
from tenuto.settings import EngineSettings, Settings, load_with_origins

# Default for `load_wait_s`: a script waits for its model however long it takes to load.
_LOAD_WAIT_S = 3600.0


def embedded_settings(engine: str) -> Settings:
    """Return the settings of an embedded server.

    Args:
        engine: `local`, `local:MODEL` or `echo`.

    Raises:
        ValueError: The engine does not exist, or a setting is invalid.
        MissingExtraError: No library that runs models is installed.
    """
    kind, _, model = engine.partition(":")
    if kind not in ("local", "echo") or (kind == "echo" and model):
        raise ValueError(f"engine must be local, local:MODEL or echo, not {engine!r}")
    loaded = load_with_origins()
    settings = loaded.settings
    local = settings.engine.local
    if model:
        local = replace(local, model=model)
    if ("engine", "local", "load_wait_s") not in loaded.origins:
        local = replace(local, load_wait_s=_LOAD_WAIT_S)
    if kind == "local":
        libraries = runtime_libraries()
        usable = libraries.values() if local.runtime == "auto" else [libraries[local.runtime]]
        check("the embedded engine", "local", *usable)
    return Settings(
        engine=EngineSettings(name="local" if kind == "local" else "echo", local=local),
        models=settings.models,
        api=settings.api,
        limits=settings.limits,
    )


def download_quietly(reference: Reference, folder: ModelFolder) -> Path:
    """Download a model without reporting progress."""
    repository = Repository(reference.repo)
    found = choose(reference, repository.files)
    return download(repository, found, reference.repo, folder, lambda _: None)
