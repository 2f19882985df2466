"""`tenuto rm`: deletes a downloaded model."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tenuto.cli.config import ConfigOption
from tenuto.cli.failure import Failure
from tenuto.models.errors import size_text
from tenuto.settings import SettingsError, load, models_folder


def rm(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="As `tenuto models` lists it, or a shorter name that only it has."
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
) -> None:
    """Delete a downloaded model, whether it is complete or not."""
    from tenuto.cli.fetch import explained
    from tenuto.models.folder import ModelFolder, only

    try:
        folder = ModelFolder(models_folder(load(config).models))
    except SettingsError as error:
        raise Failure(str(error), 2) from None
    with explained():
        model = only(name, folder.models())
        if not yes:
            _confirm(f"Delete {model.name} ({size_text(model.size)})?")
        try:
            folder.remove(model)
        except OSError as error:
            raise Failure(f"{error.filename}: {error.strerror}") from None
    typer.echo(f"Deleted {model.name} ({size_text(model.size)}).", err=True)


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise Failure(f"{question} Say so with --yes, since there is no terminal to ask on", 2)
    if not typer.confirm(question, err=True):
        raise Failure("nothing was deleted")
