"""`tenuto rm`: deletes a downloaded model."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tenuto.cli import output
from tenuto.cli.config import ConfigOption, read_settings
from tenuto.cli.failure import Failure
from tenuto.models.errors import size_text
from tenuto.settings import models_folder


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

    folder = ModelFolder(models_folder(read_settings(config).settings.models))
    with explained():
        model = only(name, folder.models())
        if not yes:
            _confirm(f"Delete {model.name} ({size_text(model.size)})?")
        try:
            folder.remove(model)
        except OSError as error:
            raise Failure(f"{error.filename}: {error.strerror}") from None
    output.note(f"Deleted {model.name} ({size_text(model.size)}).")


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise Failure(f"{question} There is no terminal to ask on; use --yes", 2)
    output.note(f"{question} [y/N]: ", end="")
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        output.note("\nNothing was deleted.")
        raise
    if not answer:
        # Ctrl-D
        output.note("\nNothing was deleted.")
        raise KeyboardInterrupt
    if answer.strip().lower() not in ("y", "yes"):
        raise Failure("nothing was deleted")
