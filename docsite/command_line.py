"""Write `docs/command-line.md` from the commands themselves: `python -m docsite.command_line`."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator

from typer.core import TyperGroup

from docsite.links import ROOT
from tenuto.cli.commands import SUMMARIES, load
from tenuto.cli.main import main

PAGE = ROOT / "docs" / "command-line.md"
_WIDTH = 92
_INTRODUCTION = """\
# Command line

The help of every command, as `--help` prints it. `python -m docsite.command_line` writes this page.

Exit codes: 0 done; 1 the work failed; 2 the input is wrong; 130 stopped by Ctrl-C. Answers go to
standard output, everything else to standard error. [Settings](settings.md) of the file and the
environment apply to every command.

`tenuto --install-completion` sets up completion for the shell that runs it: bash, zsh or fish;
`tenuto --show-completion` prints the script. It completes commands, options and the names of
downloaded models.

A spinner, colours and next steps are shown on terminals only, and not in pipes. With `NO_COLOR` or
`TERM=dumb` the spinner and the colours are left out.
"""


def page() -> str:
    """Return the page as it must be."""
    parts = [_INTRODUCTION]
    for command in _commands():
        title = " ".join(["tenuto", *command])
        parts.append(f"## `{title}`\n\n```text\n{_help(command)}\n```\n")
    return "\n".join(parts)


def _commands() -> Iterator[list[str]]:
    yield []
    for name in SUMMARIES:
        yield [name]
        command = load(name)
        if isinstance(command, TyperGroup):
            yield from ([name, member] for member in command.commands)


def _help(command: list[str]) -> str:
    """Return what `--help` prints in a terminal of a fixed width."""
    printed = io.StringIO()
    width = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(_WIDTH)
    try:
        with contextlib.redirect_stdout(printed):
            main([*command, "--help"])
    finally:
        del os.environ["COLUMNS"]
        if width is not None:
            os.environ["COLUMNS"] = width
    return printed.getvalue().rstrip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
