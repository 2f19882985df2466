"""`tenuto`: run a command, and print its error in one line.

Exit codes: 0 done; 1 the work failed; 2 the input is invalid; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Annotated, Any

import typer

from tenuto.cli import output
from tenuto.cli.commands import Commands
from tenuto.cli.failure import Failure, Stopped
from tenuto.cli.terminal import hint, note, red
from tenuto.core.extras import MissingExtraError
from tenuto.core.refusal import Kind, ModelError, Refusal
from tenuto.models.errors import ModelUnavailable
from tenuto.operations.store.errors import StoreError, StoreUnavailable
from tenuto.version import __version__

_INTERRUPTED = 130
_SUMMARY = "Keeps the Text Completions API alive: POST /v1/complete, with a model in the box."

app: typer.Typer = typer.Typer(
    cls=Commands,
    name="tenuto",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.line(f"tenuto {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, help=_SUMMARY)
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
    if context.invoked_subcommand is None:
        output.line(context.get_help())


def run(interrupt: Any) -> None:
    """Run the command that the arguments name, with a handler of Ctrl-C, and exit."""
    output.open_streams()
    try:
        signal.signal(signal.SIGINT, interrupt)
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = _interrupted()
    # What follows is Python's own end, which Ctrl-C would end with a traceback.
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    output.close_streams()
    sys.exit(code)


def main(arguments: list[str]) -> int:
    """Run a command, and return its exit code."""
    try:
        result = typer.main.get_command(app).main(arguments, "tenuto", standalone_mode=False)
    except typer.TyperException as error:
        return _fail(_explained(error), 2)
    except Failure as error:
        return _fail(str(error), error.code)
    except (MissingExtraError, ModelError) as error:
        return _fail(str(error), 2)
    except ModelUnavailable as error:
        return _fail(str(error), 2 if error.user_error else 1)
    except StoreError as error:
        return _fail(str(error), 1 if isinstance(error, StoreUnavailable) else 2)
    except Refusal as error:
        return _fail(error.message, 2 if error.kind is Kind.INVALID else 1)
    except output.ReaderGoneError:
        return 0
    except Stopped as error:
        note(f"\n{error}")
        return _INTERRUPTED
    except typer.Abort:
        return _interrupted()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 1)
    except SystemExit as error:
        # The library exits with 1 if the reader of the help text has closed the pipe.
        gone = isinstance(error.__context__, BrokenPipeError)
        result = 0 if gone else error.code
    except ValueError as error:
        # Imported late because the settings cost more than the help.
        from tenuto.settings import SettingsError

        if not isinstance(error, SettingsError):
            raise
        return max(_fail(mistake, 2) for mistake in error.mistakes)
    code = result if isinstance(result, int) else 0
    return _interrupted() if code == _INTERRUPTED else code


def _interrupted() -> int:
    # The terminal shows ^C; the prompt should not continue that line.
    note()
    hint("Stopped.")
    return _INTERRUPTED


def _explained(error: typer.TyperException) -> str:
    """Return what is invalid in the arguments.

    Read from attributes, because the library keeps the classes of these errors private.
    """
    near = getattr(error, "possibilities", None)
    if near:
        return f"{getattr(error, 'message', error)}. Did you mean {' or '.join(sorted(near))}?"
    if isinstance(error, typer.BadParameter):
        return error.format_message()
    return str(getattr(error, "message", error))


def _fail(message: str, code: int) -> int:
    note(f"{red('tenuto:')} {' '.join(message.split())}")
    return code
