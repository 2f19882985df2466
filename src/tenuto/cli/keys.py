"""`tenuto keys`: API keys of a server."""

from __future__ import annotations

import secrets
import sys
from typing import Annotated

import typer

from tenuto.cli.failure import Failure

keys: typer.Typer = typer.Typer(
    help="Make API keys, and the hashes that the settings hold.", rich_markup_mode=None
)


@keys.command("new")
def new() -> None:
    """Print a new random key, and its hash for `api_keys` in tenuto.toml."""
    from tenuto.server.auth import hash_key

    key = "sk-tenuto-" + secrets.token_urlsafe(32)
    typer.echo(key)
    typer.echo(hash_key(key))


@keys.command("hash")
def hash_(
    key: Annotated[
        str | None, typer.Argument(help="The key; - or nothing reads standard input.")
    ] = None,
) -> None:
    """Print the hash of a key, for `api_keys` in tenuto.toml."""
    from tenuto.server.auth import hash_key

    text = (sys.stdin.readline() if key in (None, "-") else key or "").strip()
    if not text:
        raise Failure("the key is empty", 2)
    typer.echo(hash_key(text))
