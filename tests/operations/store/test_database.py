from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tenuto.operations.store.key_table import read_version
from tenuto.operations.store.location import parse_location
from tenuto.operations.store.migrations import open_store

CREATE = """
import sys
from tenuto.operations.store.key_table import KeyTable
from tenuto.operations.store.location import parse_location
from tenuto.operations.store.migrations import open_store
database = open_store(parse_location(sys.argv[1]))
KeyTable(database).create("a")
database.close()
"""


def test_opening_a_store_again_keeps_the_locks_of_its_connections(tmp_path: Path) -> None:
    """Any file that a process closes drops its locks on it. SQLite would then delete the log."""
    url = f"sqlite:///{tmp_path}/store.db"
    database = open_store(parse_location(url))
    connection = database.connect()
    with database.read(connection):
        before = read_version(connection)
    open_store(parse_location(url)).close()

    subprocess.run([sys.executable, "-c", CREATE, url], check=True)

    with database.read(connection):
        assert read_version(connection) == before + 1
    connection.close()
    database.close()
