"""The store of a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tenuto.core.extras import needs
from tenuto.settings import Settings, load_with_origins, store_location

if TYPE_CHECKING:
    from tenuto.operations.store.database import Database


@contextmanager
def opened_store(config: Path | None) -> Iterator[tuple[Database, Settings]]:
    """Yield the store that the settings name, made if necessary, and the settings.

    Raises:
        StoreError: The store cannot be opened.
        MissingExtraError: The libraries of the store are not installed.
        SettingsError: The settings are invalid.
    """
    settings = load_with_origins(config).settings
    with needs("server", "the store"):
        from tenuto.operations.store.migrations import open_store
    database = open_store(store_location(settings.store))
    try:
        yield database, settings
    finally:
        database.close()
