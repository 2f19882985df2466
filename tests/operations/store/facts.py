"""Facts of completions for tests of the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable

from tenuto.operations.store.location import StoreLocation
from tenuto.operations.store.migrations import open_store
from tenuto.operations.store.rows import Closing, Opening
from tenuto.operations.store.usage import UsageRow, usage

# 2026-11-26, 12:00 UTC
NOON = 1_795_694_400_000
PATIENCE_S = 30.0


def opening(
    key: int = 1,
    at: int = NOON,
    model: str = "claude-2",
    input_tokens: int = 100,
    output_tokens: int = 1000,
    cost: int = 5000,
) -> Opening:
    name = f"key{key}" if key else ""
    return Opening(at, key, name, model, input_tokens, output_tokens, cost)


def closing(
    input_tokens: int = 90,
    output_tokens: int = 10,
    cost: int = 400,
    served_model: str = "tenuto-mini",
    upstream: str = "",
) -> Closing:
    return Closing(
        served_model=served_model,
        upstream=upstream,
        input_tokens=input_tokens,
        cached_tokens=30,
        output_tokens=output_tokens,
        cost=cost,
        status=200,
        outcome="stop_sequence",
        first_token_ms=35,
        total_ms=1200,
    )


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what another thread or process does."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def used(location: StoreLocation, *by: str) -> list[UsageRow]:
    """Return the usage of a store."""
    database = open_store(location)
    try:
        return usage(database, by or ("key",))
    finally:
        database.close()
