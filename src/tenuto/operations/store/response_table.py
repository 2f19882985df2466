"""Kept responses in the database: claimed by one server, and read by all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tenuto.operations.idempotency.records import (
    Claimed,
    KeptResponse,
    Mismatch,
    RunningElsewhere,
    StoredVerdict,
)
from tenuto.operations.store.database import Database
from tenuto.operations.store.schema import RESPONSE

_DELETED_AT_ONCE: Final = 100


class ResponseTable:
    """The responses in a store. Moments are milliseconds since 1970.

    Args:
        database: The store.
        connection: A connection without a transaction. All methods belong to its thread, and raise
            `StoreUnavailable` if the database does not work.
        owner: A number of this server that no other has.
    """

    def __init__(self, database: Database, connection: Connection, owner: int) -> None:
        self._database = database
        self._connection = connection
        self._owner = owner
        dialect = sqlite if database.is_sqlite else postgresql
        # Only one of several servers inserts the row.
        inserted = dialect.insert(RESPONSE).on_conflict_do_nothing()
        self._insert = inserted.returning(RESPONSE.c.place)

    def claim(self, place: bytes, fingerprint: bytes, now: int, until: int) -> StoredVerdict:
        """Claim a place until a moment, or return what is there."""
        row = {
            "place": place,
            "fingerprint": fingerprint,
            "owner": self._owner,
            "claimed": now,
            "expires": until,
            "size": 0,
        }
        with self._database.write(self._connection) as used:
            expired = delete(RESPONSE).where(RESPONSE.c.place == place, RESPONSE.c.expires <= now)
            used.execute(expired)
            if used.execute(self._insert, row).first() is not None:
                return Claimed()
            found = used.execute(select(RESPONSE).where(RESPONSE.c.place == place)).one_or_none()
        if found is None:
            # Its owner has dropped it since.
            return RunningElsewhere(0)
        if bytes(found.fingerprint) != fingerprint:
            return Mismatch()
        if found.status is None:
            return RunningElsewhere(max(now - found.claimed, 0))
        return KeptResponse(found.status, _headers_of(found.headers), bytes(found.body))

    def renew(self, places: Iterable[bytes], until: int) -> None:
        """Extend the claims of running requests."""
        rows = [{"at": place} for place in places]
        if rows:
            with self._database.write(self._connection) as used:
                extended = update(RESPONSE).where(
                    RESPONSE.c.place == bindparam("at"), self._is_running()
                )
                used.execute(extended.values(expires=until), rows)

    def keep(self, place: bytes, response: KeptResponse, until: int) -> bool:
        """End a claim with its response, kept until a moment.

        Returns:
            Whether the claim was still valid.
        """
        headers = [
            [name.decode("latin-1"), text.decode("latin-1")] for name, text in response.headers
        ]
        ended = (
            update(RESPONSE)
            .where(RESPONSE.c.place == place, self._is_running())
            .values(
                status=response.status,
                headers=json.dumps(headers),
                body=response.body,
                size=response.size,
                expires=until,
            )
        )
        with self._database.write(self._connection) as used:
            return used.execute(ended).rowcount > 0

    def drop(self, place: bytes) -> None:
        """End a claim without a response."""
        with self._database.write(self._connection) as used:
            used.execute(delete(RESPONSE).where(RESPONSE.c.place == place, self._is_running()))

    def prune(self, now: int, most_bytes: int, most_entries: int) -> None:
        """Delete expired rows, and the oldest responses beyond the bounds, a few at a time."""
        kept = RESPONSE.c.status.is_not(None)
        with self._database.write(self._connection) as used:
            used.execute(delete(RESPONSE).where(RESPONSE.c.expires <= now))
        while True:
            with self._database.write(self._connection) as used:
                sums = select(func.count(), func.coalesce(func.sum(RESPONSE.c.size), 0))
                entries, size = used.execute(sums.where(kept)).one()
                oldest = select(RESPONSE.c.place, RESPONSE.c.size).where(kept)
                rows = used.execute(oldest.order_by(RESPONSE.c.expires).limit(_DELETED_AT_ONCE))
                excess = []
                for row in rows:
                    if entries <= most_entries and size <= most_bytes:
                        break
                    excess.append(row.place)
                    entries, size = entries - 1, size - row.size
                if excess:
                    used.execute(delete(RESPONSE).where(RESPONSE.c.place.in_(excess)))
            if len(excess) < _DELETED_AT_ONCE:
                return

    def _is_running(self) -> Any:
        return (RESPONSE.c.owner == self._owner) & RESPONSE.c.status.is_(None)


def _headers_of(text: str) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(
        (name.encode("latin-1"), text.encode("latin-1")) for name, text in json.loads(text)
    )
