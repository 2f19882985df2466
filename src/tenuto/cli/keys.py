"""`tenuto keys`: API keys of a server."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tenuto.cli import output, stored_keys
from tenuto.cli.failure import Failure
from tenuto.cli.stdin import read_text
from tenuto.cli.terminal import hint, note
from tenuto.operations.store.new_key import new_key

# An unsalted hash is safe only for keys that cannot be guessed.
_SHORTEST = 16

keys: typer.Typer = typer.Typer(
    help="Make and change API keys: in the store, or as hashes for the settings.",
    rich_markup_mode=None,
)


@keys.callback(invoke_without_command=True)
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        output.line(context.get_help())


for _name, _command, _summary in (
    ("create", stored_keys.create, "Create a key in the store."),
    ("list", stored_keys.list_, "List the keys of the store."),
    ("show", stored_keys.show, "Show a key of the store."),
    ("update", stored_keys.update, "Change the terms of a key."),
    ("disable", stored_keys.disable, "Disable a key."),
    ("rotate", stored_keys.rotate, "Replace a key by a new one."),
    ("delete", stored_keys.delete, "Delete a key."),
):
    keys.command(_name, short_help=_summary)(_command)


@keys.command("new", short_help="Print a new key and its hash, for the settings.")
def new() -> None:
    """Print a new random key, and its hash for `api_keys` in tenuto.toml."""
    from tenuto.server.auth import hash_key

    key = new_key()
    if sys.stdout.isatty():
        note("The key, for clients; it is shown only once:")
    output.line(key)
    if sys.stdout.isatty():
        note("Its hash, for the server:")
    output.line(hash_key(key))
    hint("Next: add the hash to `api_keys` in [server] of tenuto.toml; clients set TENUTO_API_KEY.")


@keys.command("hash", short_help="Print the hash of a key, for the settings.")
def hash_(
    key: Annotated[
        str | None,
        typer.Argument(metavar="KEY", help="The key; - or nothing reads standard input."),
    ] = None,
) -> None:
    """Print the hash of a key, for `api_keys` in tenuto.toml."""
    from tenuto.server.auth import hash_key

    text = (_typed() if key in (None, "-") else key or "").strip()
    if not text:
        raise Failure("the key is empty", 2)
    if not (text.isascii() and text.isprintable()):
        raise Failure("the key must be printable ASCII, because a header carries it", 2)
    if len(text) < _SHORTEST:
        raise Failure(
            f"the key has {len(text)} characters, and must have {_SHORTEST} or more, or it can be "
            "guessed; `tenuto keys new` makes one",
            2,
        )
    output.line(hash_key(text))


def _typed() -> str:
    """Read the key from standard input; a terminal does not show it."""
    if sys.stdin.isatty():
        import getpass

        try:
            return getpass.getpass("Key: ", sys.stderr)
        except EOFError:
            raise KeyboardInterrupt from None
    return read_text().partition("\n")[0]
