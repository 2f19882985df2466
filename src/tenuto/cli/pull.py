"""`tenuto pull`: downloads a model."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from tenuto.cli import output
from tenuto.cli.config import ConfigOption, read_settings
from tenuto.cli.failure import Failure
from tenuto.settings import models_folder


def pull(
    model: Annotated[
        str,
        typer.Argument(
            metavar="ORG/REPO[:FILE]",
            help="Repository on the Hugging Face Hub; after the colon a GGUF file of it, or a "
            "quantisation such as Q4_K_M.",
        ),
    ],
    config: ConfigOption = None,
) -> None:
    """Download a model from the Hugging Face Hub.

    Of a repository without a colon, its only GGUF file is taken, or else that of a usual
    quantisation: Q8_0 up to 4 GB, then Q4_K_M. A download that was interrupted goes on where it
    stopped. The token for private and gated models is taken from HF_TOKEN, another hub's address
    from HF_ENDPOINT. Prints the path of the file.

    \b
    tenuto pull Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0
    tenuto serve --model Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0
    """  # noqa: D301 - `\b` tells typer to keep these lines
    from tenuto.cli.fetch import explained, fetch
    from tenuto.engine.registry import describe
    from tenuto.models.folder import ModelFolder
    from tenuto.models.names import parse

    folder = ModelFolder(models_folder(read_settings(config).settings.models))
    with explained():
        path = fetch(parse(model), folder)
    output.line(path)
    found = describe(path)
    if found.architecture is None:
        raise Failure(f"{path}: arrived as it is on the hub, but {found.reason}")
    if found.runtime is None:
        output.note(f"Nothing here can run it: {found.reason}.")
    elif output.is_terminal():
        output.note(f"Run it: tenuto serve --model {shlex.quote(model)}")
