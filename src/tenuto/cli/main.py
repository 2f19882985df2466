"""`tenuto`: the commands, and how they fail: in one line, with an exit code.

Exit codes: 0 done; 1 the work failed; 2 the input is wrong; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Annotated

import typer
from typer.core import TyperArgument, TyperGroup

from tenuto.cli import output
from tenuto.cli.bench import bench
from tenuto.cli.complete import complete
from tenuto.cli.config import config
from tenuto.cli.failure import Failure
from tenuto.cli.keys import keys
from tenuto.cli.models import models
from tenuto.cli.pull import pull
from tenuto.cli.rm import rm
from tenuto.cli.serve import serve
from tenuto.core.extras import MissingExtraError
from tenuto.settings import SettingsError
from tenuto.version import __version__

_INTERRUPTED = 130

app: typer.Typer = typer.Typer(
    name="tenuto",
    help="Keeps the Text Completions API alive: POST /v1/complete, with a model in the box.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command(short_help="Complete a prompt, and print the answer.")(complete)
app.command(short_help="Serve POST /v1/complete.")(serve)
app.command(short_help="Download a model.")(pull)
app.command(short_help="List the models on this machine.")(models)
app.command(short_help="Delete a downloaded model.")(rm)
app.command(short_help="Measure how fast a server answers.")(bench)
app.command(short_help="Print the effective settings.")(config)
app.add_typer(keys, name="keys")


def _print_version(wanted: bool) -> None:
    if wanted:
        output.line(f"tenuto {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Keeps the Text Completions API alive: POST /v1/complete, with a model in the box."""
    if context.invoked_subcommand is None:
        output.line(context.get_help())


def run() -> None:
    """Run the command that the arguments name, and exit."""
    output.open_streams()
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = _interrupted()
    # What follows is Python's own end, which Ctrl-C would end with a traceback.
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    output.close_streams()
    sys.exit(code)


def main(arguments: list[str]) -> int:
    """Run a command.

    Returns:
        The exit code.
    """
    command = typer.main.get_group(app)
    _hide_types(command)
    try:
        result = command.main(arguments, "tenuto", standalone_mode=False)
    except typer.TyperException as error:
        return _fail(_explained(error), 2)
    except Failure as error:
        return _fail(str(error), error.code)
    except MissingExtraError as error:
        return _fail(str(error), 2)
    except SettingsError as error:
        return max(_fail(mistake, 2) for mistake in error.mistakes)
    except output.CannotWriteError as error:
        return _fail(str(error), 1)
    except output.ReaderGoneError:
        return 0
    except typer.Abort:
        return _interrupted()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 1)
    except SystemExit as error:
        # The help text, if nobody reads on.
        return 0 if error.code == 1 else _as_code(error.code)
    code = _as_code(result)
    return _interrupted() if code == _INTERRUPTED else code


def _hide_types(group: TyperGroup) -> None:
    """Let help name an argument as the usage does; the library adds Python's type, `<str>`."""
    for command in group.commands.values():
        if isinstance(command, TyperGroup):
            _hide_types(command)
        for param in command.params:
            if isinstance(param, TyperArgument):
                param.display_type_rich = lambda ctx: None  # type: ignore[method-assign]


def _as_code(result: object) -> int:
    return result if isinstance(result, int) else 0


def _interrupted() -> int:
    # The terminal shows ^C; the prompt should not continue that line.
    output.note()
    return _INTERRUPTED


def _explained(error: typer.TyperException) -> str:
    """Return what is wrong with the arguments.

    The library keeps the classes private that say more than a message.
    """
    near = getattr(error, "possibilities", None)
    if near:
        return f"{getattr(error, 'message', error)}. Did you mean {' or '.join(sorted(near))}?"
    if isinstance(error, typer.BadParameter):
        return error.format_message()
    return str(getattr(error, "message", error))


def _fail(message: str, code: int) -> int:
    output.note(f"{output.red('tenuto:')} {' '.join(message.split())}")
    return code
