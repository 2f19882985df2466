"""A look into a store of SQLite without SQLAlchemy, whose import takes half of a server's start."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

from tenuto.operations.store.location import StoreLocation

_KEYS = "SELECT EXISTS (SELECT 1 FROM tenuto_key)"


def may_have_keys(location: StoreLocation) -> bool:
    """Return whether a store may have keys. False only if that is certain.

    A missing file has none. PostgreSQL is not asked.
    """
    if location.path is None:
        return True
    if not location.path.exists():
        return False
    try:
        uri = f"file:{quote(str(location.path))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=1.0)
        try:
            return bool(connection.execute(_KEYS).fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error:
        return True
