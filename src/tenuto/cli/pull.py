"""`tenuto pull`: download a model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenuto.cli import options, output
from tenuto.cli.failure import Failure, Stopped
from tenuto.cli.terminal import hint, note, progress
from tenuto.models.errors import size_text

if TYPE_CHECKING:
    from tenuto.models.folder import ModelFolder
    from tenuto.models.names import Reference


def pull(
    model: Annotated[
        str,
        typer.Argument(
            metavar="ORG/REPO[:FILE]",
            help="Repository on the Hugging Face Hub; after the colon one of its GGUF files, or a "
            "quantisation such as Q4_K_M.",
        ),
    ],
    config: options.Config = None,
) -> None:
    """Download a model from the Hugging Face Hub.

    Without a colon, a repository's only GGUF file is downloaded, or else a usual quantisation: Q8_0
    up to 4 GB, then Q4_K_M. An interrupted download resumes. HF_TOKEN holds the token for private
    and gated models, HF_ENDPOINT the address of another hub. Prints the path of the file.

    \b
    tenuto pull Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0
    tenuto serve --model Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0
    """  # noqa: D301 - `\b` tells typer to keep these lines
    from tenuto.engine.registry import describe
    from tenuto.models.names import parse

    path = fetch(parse(model), options.model_folder(config))
    output.line(path)
    found = describe(path)
    if found.architecture is None:
        raise Failure(f"{path}: the download is complete, but {found.reason}")
    if found.runtime is None:
        note(f"No runtime of this machine can run it: {found.reason}.")
    else:
        hint(f'Next: tenuto complete -m {shlex.quote(model)} "Hello, world!"')


def fetch(reference: Reference, folder: ModelFolder) -> Path:
    """Download a model, or the missing part of it.

    Raises:
        ModelUnavailable: See `download`.
        Stopped: Ctrl-C; the downloaded part is kept.
    """
    from tenuto.models.choice import choose
    from tenuto.models.download import download, remaining
    from tenuto.models.hub import Repository

    repository = Repository(reference.repo)
    model = choose(reference, repository.files)
    name = f"{reference.repo}:{model.path}"
    missing = remaining(model, reference.repo, folder)
    if missing:
        done = "" if missing == model.size else f", {size_text(model.size - missing)} are here"
        note(f"Downloading {name} ({size_text(model.size)}{done}).")
    try:
        with progress("", model.size, in_bytes=True) as show:
            return download(repository, model, reference.repo, folder, show)
    except KeyboardInterrupt:
        remark = "Stopped. The downloaded part is kept; run the command again to resume."
        raise Stopped(remark) from None
