"""Run the command line. Ctrl-C ends it silently, even during imports."""

from __future__ import annotations

import os
import signal
import sys

_NOT_INSTALLED = 2
_INTERRUPTED = 130


def run() -> None:
    """Run the command in the arguments, and exit."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        # An exception in an import would be printed, or reported as a failed import.
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    from tenuto.core.extras import MissingExtraError, needs

    try:
        with needs("cli", "the command line"):
            from tenuto.cli.main import run as run_command
    except MissingExtraError as error:
        sys.stderr.write(f"tenuto: {error}\n")
        sys.exit(_NOT_INSTALLED)
    run_command(handler)


if __name__ == "__main__":
    run()
