"""`tenuto rm`: delete a downloaded model."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tenuto.cli import options
from tenuto.cli.failure import Failure, Stopped
from tenuto.cli.terminal import note
from tenuto.models.errors import size_text


def rm(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=options.model_names,
            help="Name from `tenuto models`, or a part of it that no other model has.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without confirmation.")] = False,
    config: options.Config = None,
) -> None:
    """Delete a downloaded model, complete or not."""
    from tenuto.engine import registry
    from tenuto.models.folder import only

    folder = options.model_folder(config)
    model = only(name, folder.models())
    if not yes:
        _confirm(f"Delete {model.name} ({size_text(model.size)})?")
    registry.tuning(model.path, registry.tunings_folder(folder.root)).forget()
    folder.remove(model)
    note(f"Deleted {model.name} ({size_text(model.size)}).")


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise Failure(f"{question} No terminal to ask on; use --yes", 2)
    note(f"{question} [y/N]: ", end="")
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        answer = ""
    if not answer:
        # Ctrl-C or Ctrl-D
        raise Stopped("Stopped. Nothing was deleted.")
    if answer.strip().lower() not in ("y", "yes"):
        raise Failure("nothing was deleted")
