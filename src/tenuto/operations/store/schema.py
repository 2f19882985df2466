"""The tables of the store. `migrations.py` creates them.

Moments are milliseconds since 1970, days are days since 1970 in UTC, money is micro-units. A name
id of 0 means no name.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

METADATA: Final = MetaData()

# SQLite gives new rows ids, and keeps them from being used again, only in an INTEGER column.
_Id = BigInteger().with_variant(Integer, "sqlite")

META: Final = Table(
    "tenuto_meta",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Single numbers: version of the schema, version of the keys, last number of a writer."""

KEY: Final = Table(
    "tenuto_key",
    METADATA,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("disabled", Boolean, nullable=False),
    Column("models", Text, nullable=False),
    Column("requests_per_minute", BigInteger),
    Column("input_tokens_per_minute", BigInteger),
    Column("output_tokens_per_minute", BigInteger),
    Column("concurrent", BigInteger),
    Column("budget_tokens", BigInteger),
    Column("budget_tokens_period", Text),
    Column("budget_cost", BigInteger),
    Column("budget_cost_period", Text),
    sqlite_autoincrement=True,
)
"""API keys. `models` is a JSON list of patterns."""

NAME: Final = Table(
    "tenuto_name",
    METADATA,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("text", Text, nullable=False, unique=True),
)
"""Names of models, upstreams and outcomes, which rows refer to by id."""

KEY_NAME: Final = Table(
    "tenuto_key_name",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)
"""Names of the keys in the ledger, those of deleted keys and of the settings included."""

# PostgreSQL aligns columns of 8 bytes, so these come first.
_OPENING = (
    ("id", BigInteger),
    ("admitted_at", BigInteger),
    ("key", BigInteger),
    ("reserved_cost", BigInteger),
    ("requested_model", Integer),
    ("reserved_input", Integer),
    ("reserved_output", Integer),
)
_CLOSING = (
    ("served_model", Integer),
    ("upstream", Integer),
    ("input_tokens", Integer),
    ("cached_tokens", Integer),
    ("output_tokens", Integer),
    ("total_ms", Integer),
    ("outcome", Integer),
    ("status", SmallInteger),
)


def _columns(*columns: tuple[str, type[BigInteger | Integer | SmallInteger]]) -> list[Column[int]]:
    return [
        Column(
            name,
            # An INTEGER PRIMARY KEY is SQLite's row id; a BIGINT one would need an index.
            _Id if name == "id" else kind,
            primary_key=name == "id",
            autoincrement=False,
            nullable=False,
        )
        for name, kind in columns
    ]


OPEN: Final = Table("tenuto_open", METADATA, *_columns(*_OPENING))
"""Running completions, with their reserved amounts."""

LEDGER: Final = Table(
    "tenuto_ledger",
    METADATA,
    *_columns(*_OPENING[:4], ("cost", BigInteger), *_OPENING[4:], *_CLOSING),
    Column("first_token_ms", Integer),
)
"""Ended completions, with reserved and used amounts.

The upper half of an id is that of the writer, the lower half counts from 1. Rows are never
updated, except those that another writer has closed.
"""

Index("tenuto_ledger_admitted_at", LEDGER.c.admitted_at)

DAY: Final = Table(
    "tenuto_day",
    METADATA,
    *(
        Column(name, kind, primary_key=True, autoincrement=False)
        for name, kind in (
            ("day", Integer),
            ("key", BigInteger),
            ("model", Integer),
            ("upstream", Integer),
        )
    ),
    Column("requests", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
)
"""Sums of the ledger's rows by day, which stay when rows are deleted."""

RESPONSE: Final = Table(
    "tenuto_response",
    # Not of the first step.
    MetaData(),
    Column("place", LargeBinary, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("owner", BigInteger, nullable=False),
    Column("claimed", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    # Before the body, which SQLite would have to skip.
    Column("size", BigInteger, nullable=False),
    Column("status", SmallInteger),
    Column("headers", Text),
    Column("body", LargeBinary),
)
"""Responses for idempotency keys, and claims without a status. A place is the SHA-256 of the caller
and its key, a body is text of a completion."""

Index("tenuto_response_expires", RESPONSE.c.expires)
