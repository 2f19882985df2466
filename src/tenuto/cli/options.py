"""Options that several commands share, and the settings that they change."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Annotated

import typer

from tenuto.settings import Loaded, Settings, load_with_origins, models_folder


def model_names(incomplete: str) -> list[str]:
    """Return the downloaded models whose names begin so, for the completion of a shell."""
    from tenuto.models.folder import ModelFolder

    try:
        folder = ModelFolder(models_folder(load_with_origins(None).settings.models))
        names = [model.name for model in folder.models()]
    except (OSError, ValueError):
        # An error message would be printed into the command that is being typed.
        return []
    return [name for name in names if name.startswith(incomplete)]


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Settings file.  [default: tenuto.toml in this folder, if it exists]",
    ),
]

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        autocompletion=model_names,
        help="Model file, downloaded model, or hf:org/repo:file; if another server or routes "
        "answer, the model's name.  [default: that of the settings]",
    ),
]


def read_settings(file: Path | None) -> Loaded:
    """Return the settings of a file and of the environment.

    Raises:
        SettingsError: See `load`. `main` prints it.
    """
    return load_with_origins(file)


def with_model(settings: Settings, model: str | None) -> Settings:
    """Return the settings with the model of `--model`; None changes nothing."""
    if model is None:
        return settings
    engine = settings.engine
    local = dataclasses.replace(engine.local, model=model)
    return dataclasses.replace(settings, engine=dataclasses.replace(engine, local=local))


def warn_of_ignored(loaded: Loaded) -> None:
    """Log each variable that looks like a setting, and is not read as one."""
    for name in loaded.ignored:
        logging.getLogger("tenuto.settings").warning(
            "%s is ignored: Kubernetes or Docker sets variables of this form", name
        )
