"""`tenuto db`: the database of keys and usage."""

from __future__ import annotations

import typer

from tenuto.cli import options, output
from tenuto.cli.terminal import note
from tenuto.core.extras import needs
from tenuto.settings import load_with_origins, store_location

db: typer.Typer = typer.Typer(help="Prepare the database of keys and usage.", rich_markup_mode=None)


@db.callback(invoke_without_command=True)
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        output.line(context.get_help())


@db.command("migrate", short_help="Bring the database to the schema of this version.")
def migrate(config: options.Config = None) -> None:
    """Bring the database to the schema of this version, in one transaction.

    Each command that uses the database does the same first. Servers of an older version go on
    running, and have to be updated before their next start.
    """
    settings = load_with_origins(config).settings
    location = store_location(settings.store)
    with needs("server", "the store"):
        from tenuto.operations.store import migrations
        from tenuto.operations.store.database import Database
    database = Database(location)
    try:
        before, now = migrations.migrate(database)
    finally:
        database.close()
    if before == now:
        note(f"{location} has schema {now} already.")
    else:
        note(f"{location} has schema {now} now{f' instead of {before}' if before else ''}.")
