"""`tenuto migrate fix`: rewrite code for the Messages API, or for Tenuto's client."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from tenuto.cli import output
from tenuto.cli.failure import Failure, Stopped
from tenuto.cli.migrate_scan import existing
from tenuto.cli.options import choice
from tenuto.cli.terminal import note

if TYPE_CHECKING:
    from tenuto.migrate.python.plan import Options

_MODEL = re.compile(r"[\w.:@/-]{1,200}(?:\[\w+\])?")


def _checked_model(value: str) -> str:
    if not _MODEL.fullmatch(value):
        raise typer.BadParameter("the name of a model has letters, digits and . : @ / - only")
    return value


def fix(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Files and folders.", show_default=False),
    ],
    to: Annotated[
        str,
        choice(
            "messages rewrites calls for the Messages API; tenuto changes imports only.",
            *("tenuto", "messages"),
            metavar="tenuto|messages",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME", callback=_checked_model, help="Model that replaces literal names."
        ),
    ] = "claude-haiku-4-5",
    sdk: Annotated[
        str, choice("Major version of the SDK to write for.", "1", "2", metavar="1|2")
    ] = "2",
    write: Annotated[bool, typer.Option("--write", help="Change the files.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Print nothing; the exit code is 1 if something can be rewritten, or has a TODO.",
        ),
    ] = False,
    unsafe: Annotated[
        bool,
        typer.Option(
            "--unsafe", help="Rewrite what needs a look as well, with a TODO comment at each place."
        ),
    ] = False,
    sampling: Annotated[
        str,
        choice(
            "temperature, top_p and top_k: drop them, or keep them in extra_body.",
            *("keep", "drop"),
            metavar="keep|drop",
        ),
    ] = "drop",
    vendor_helper: Annotated[
        Path | None,
        typer.Option(
            "--vendor-helper",
            metavar="FILE",
            help="Module of the project for the function that takes prompts apart at run time, "
            "instead of Tenuto's.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a git tree with uncommitted changes.")
    ] = False,
) -> None:
    """Rewrite Python and notebooks that use the Text Completions API.

    Without --write a diff is printed. Calls whose result cannot be followed stay as they are, and
    are reported on standard error. The exit code is 1 if such calls remain.

    \b
    tenuto migrate fix src --to messages
    tenuto migrate fix src --to messages --write
    """  # noqa: D301 - `\b` tells typer to keep these lines
    from tenuto.migrate.fix import Change, changes, target_options, uncommitted
    from tenuto.migrate.reports import counted, place_of
    from tenuto.migrate.vendoring import helper_file

    if write and check:
        raise Failure("--write and --check exclude each other", 2)
    if write and not force and (dirty := uncommitted(existing(paths))):
        raise Failure(f"{dirty} has uncommitted changes; commit them, or use --force", 2)
    options = target_options(model, cast(Literal[1, 2], int(sdk)), keep_sampling=sampling == "keep")
    if vendor_helper is not None:
        options = _vendored(options, vendor_helper)
    found: list[Change] = []
    try:
        for change in changes(existing(paths), to, options, unsafe=unsafe):
            if write:
                change.write()
            elif not check:
                output.write(change.diff())
            found.append(change)
            for finding in change.findings:
                note(f"{place_of(finding)}: {finding.code} {finding.hardness}: {finding.message}")
                note(f"    {finding.remedy}")
    except KeyboardInterrupt:
        done = sum(change.is_change for change in found) if write else 0
        if not done:
            raise
        raise Stopped(
            f"Stopped. {counted(done, 'file')} rewritten; the same command with --force goes on."
        ) from None
    if vendor_helper is not None and (made := helper_file(vendor_helper, found)) is not None:
        found.append(made)
        if write:
            vendor_helper.write_bytes(made.after)
        elif not check:
            output.write(made.diff())
    changed = [change for change in found if change.is_change]
    left = sum(len(change.left) for change in found)
    todos = sum(change.todos for change in found)
    verb = "Rewrote" if write else "Would rewrite"
    files, places = counted(len(changed), "file"), counted(left, "place")
    note(f"{verb} {files}; {places} left, {todos:,} with a TODO.")
    if left or (check and (changed or todos)):
        raise typer.Exit(1)


def _vendored(options: Options, path: Path) -> Options:
    """Return the options with the module of a file."""
    from tenuto.migrate.vendoring import check_place, module_of

    try:
        check_place(path)
        return replace(options, helper=module_of(path))
    except ValueError as error:
        raise Failure(f"--vendor-helper {path}: {error}", 2) from None
