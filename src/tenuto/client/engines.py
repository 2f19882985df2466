"""The engine that `Client(engine=...)` names: its settings and its model file.

The argument wins over `TENUTO_…` variables, which win over `tenuto.toml`: as for `tenuto serve`,
whose sections `[engine]`, `[models]`, `[api]` and `[limits]` hold here too. `[server]` and
`[log]` do not: nothing listens, and no key is asked for.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from tenuto.engine.registry import runtime_libraries
from tenuto.models.choice import choose
from tenuto.models.download import download
from tenuto.models.errors import ModelUnavailable
from tenuto.models.folder import ModelFolder
from tenuto.models.hub import Repository
from tenuto.models.names import Reference
from tenuto.models.resolve import resolve
from tenuto.settings import EngineSettings, Settings, load_with_origins, models_folder

# A script that names a large model wants it, however long it takes to load.
_LOAD_WAIT_S = 3600.0


def embedded_settings(engine: str) -> Settings:
    """Return the settings of an embedded server.

    Args:
        engine: `local`, `local:MODEL` or `echo`.

    Raises:
        ValueError: There is no such engine or model, or a setting is wrong.
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
        if local.model is not None:
            local = replace(local, model=_model_file(local.model, settings))
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
            "install its libraries from Tenuto's source folder: pip install '.[local]'"
        )


def _model_file(model: str | Path, settings: Settings) -> Path:
    """Return the file of a model, by the resolver of the command line."""
    text = str(model)
    path = Path(text).expanduser()
    if path.exists() or isinstance(model, Path):
        return path  # Needs no folder of models, and no home.
    try:
        folder = ModelFolder(models_folder(settings.models))
        return resolve(model, folder, lambda reference: _download(reference, folder))
    except ModelUnavailable as error:
        raise ValueError(f"engine: {error}") from None


def _download(reference: Reference, folder: ModelFolder) -> Path:
    repository = Repository(reference.repo)
    found = choose(reference, repository.files)
    return download(repository, found, reference.repo, folder, lambda _: None)
