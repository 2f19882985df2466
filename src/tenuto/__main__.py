"""`python -m tenuto` is `tenuto`. Ctrl-C ends it silently, also while it still imports."""

from __future__ import annotations

import os
import signal
import sys

_NOT_INSTALLED = 2
_INTERRUPTED = 130


def run() -> None:
    """Run the command that the arguments name, and exit."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        # An exception in the middle of an import would be printed, or taken for its failure.
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    from tenuto.core.extras import MissingExtraError, needs

    try:
        with needs("cli", "the command line"):
            from tenuto.cli.main import run as run_command
    except MissingExtraError as error:
        sys.stderr.write(f"tenuto: {error}\n")
        sys.exit(_NOT_INSTALLED)
    signal.signal(signal.SIGINT, handler)
    run_command()


if __name__ == "__main__":
    run()
