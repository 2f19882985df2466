"""`tenuto`: the commands, and how they fail: in one line, with an exit code.

Exit codes: 0 done; 1 the work failed; 2 the input is wrong; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tenuto.cli.bench import bench
from tenuto.cli.complete import complete
from tenuto.cli.config import config
from tenuto.cli.failure import Failure
from tenuto.cli.keys import keys
from tenuto.cli.models import models
from tenuto.cli.pull import pull
from tenuto.cli.rm import rm
from tenuto.cli.serve import serve
from tenuto.version import __version__

_INTERRUPTED = 130

app: typer.Typer = typer.Typer(
    name="tenuto",
    help="Keeps the Text Completions API alive: POST /v1/complete, with a model in the box.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(complete)
app.command()(serve)
app.command()(pull)
app.command()(models)
app.command()(rm)
app.command()(bench)
app.command()(config)
app.add_typer(keys, name="keys")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tenuto {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Keeps the Text Completions API alive: POST /v1/complete, with a model in the box."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run() -> None:
    """Runs the command that the arguments name, and exits."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Runs a command.

    Returns:
        The exit code.
    """
    command = typer.main.get_command(app)
    try:
        result = command.main(arguments, "tenuto", standalone_mode=False)
    except typer.BadParameter as error:
        return _fail(error.format_message(), 2)
    except typer.TyperException as error:
        # The library keeps the classes private that say what else can be wrong with arguments.
        return _fail(str(getattr(error, "message", error)), 2)
    except Failure as error:
        return _fail(str(error), error.code)
    code = result if isinstance(result, int) else 0
    if code == _INTERRUPTED:
        # The terminal shows ^C; what comes next should not continue that line.
        typer.echo(err=True)
    return code


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    typer.echo(f"tenuto: {line}", err=True)
    return code
