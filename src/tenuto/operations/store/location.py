"""The place of a store, from its URL. Nothing is opened.

The settings import this module, so that it imports little.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

SQLITE: Final = "sqlite:///"
POSTGRESQL: Final = "postgresql://"
FORMS: Final = "`sqlite:///path` or `postgresql://user@host:port/database`"


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """The place of a store.

    Attributes:
        path: The file of SQLite; None for PostgreSQL.
        url: The URL of PostgreSQL, which may have a password; "" for SQLite.
    """

    path: Path | None = None
    url: str = ""

    def __str__(self) -> str:
        """Return the place for messages: the file, or the URL without user, password and query."""
        if self.path is not None:
            return str(self.path)
        from urllib.parse import urlsplit

        parts = urlsplit(self.url)
        return f"{POSTGRESQL}{parts.netloc.rpartition('@')[2]}{parts.path}"

    def __repr__(self) -> str:
        """Return the same as `str`, because the URL may have a password."""
        return f"StoreLocation({self})"


def parse_location(url: str) -> StoreLocation:
    """Return the place that a URL names.

    Args:
        url: `sqlite:///path`, with a fourth slash if the path is absolute, or
            `postgresql://user:password@host:port/database`.

    Raises:
        ValueError: The URL has another form. The message does not repeat it.
    """
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        path = url.removeprefix(SQLITE)
        if path == ":memory:" or "?" in path or "\0" in path:
            raise ValueError("the path must be that of a file, without `?`")
        return StoreLocation(path=Path(path))
    if url.startswith(POSTGRESQL):
        from urllib.parse import urlsplit

        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - the property checks the number
        except ValueError:
            raise ValueError(f"the host or the port is not valid; write {FORMS}") from None
        if len(parts.path) < 2:
            raise ValueError(f"the name of the database is required; write {FORMS}")
        return StoreLocation(url=url)
    raise ValueError(f"must be {FORMS}")
