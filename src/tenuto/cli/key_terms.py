"""Options that set the terms of an API key."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from tenuto.cli.failure import Failure
from tenuto.operations.keys.policy import (
    PolicyError,
    parse_cost_budget,
    parse_count,
    parse_lifetime,
    parse_models,
    parse_token_budget,
)

if TYPE_CHECKING:
    from tenuto.operations.keys.entry import KeyEntry

T = TypeVar("T")

REMOVED: Final = "none"
"""The value of an option that removes a term."""

Owner = Annotated[
    str | None, typer.Option(metavar="TEXT", help="The person or team that uses the key.")
]
Expires = Annotated[
    str | None,
    typer.Option(metavar="AGE", help="Lifetime from now, as in 90d: a number with s, m, h or d."),
]
Models = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Allowed models, as in 'claude-*,qwen'.  [default: all]"),
]
Requests = Annotated[
    str | None,
    typer.Option("--requests-per-minute", metavar="N", help="Most requests per minute."),
]
InputTokens = Annotated[
    str | None,
    typer.Option("--input-tokens-per-minute", metavar="N", help="Most input tokens per minute."),
]
OutputTokens = Annotated[
    str | None,
    typer.Option("--output-tokens-per-minute", metavar="N", help="Most output tokens per minute."),
]
Concurrent = Annotated[
    str | None,
    typer.Option("--concurrent", metavar="N", help="Most requests at the same time."),
]
BudgetTokens = Annotated[
    str | None,
    typer.Option(
        "--budget-tokens",
        metavar="N/PERIOD",
        help="Most tokens of a day or a month in UTC, as in 5M/month.",
    ),
]
BudgetCost = Annotated[
    str | None,
    typer.Option(
        "--budget-cost",
        metavar="AMOUNT/PERIOD",
        help="Most money of a day or a month in UTC, as in 20/day. Needs [prices].",
    ),
]


def parse(option: str, text: str, parser: Callable[[str], T]) -> T | None:
    """Return the value of an option; None for `none`.

    Raises:
        Failure: The text is invalid.
    """
    if text.strip().lower() == REMOVED:
        return None
    try:
        return parser(text)
    except PolicyError as error:
        raise Failure(f"{option}: {error}", 2) from None


def changed_terms(
    *,
    before: KeyEntry | None,
    owner: str | None,
    expires: str | None,
    models: str | None,
    limits: dict[str, str | None],
    budget_tokens: str | None,
    budget_cost: str | None,
    has_prices: bool,
) -> dict[str, Any]:
    """Return the attributes of `KeyEntry` that options change.

    Args:
        before: The entry before; None for a new key.
        owner: `--owner`, as the others None without the option.
        expires: `--expires`.
        models: `--models`.
        limits: The texts of limits by their name in `KeyLimits`.
        budget_tokens: `--budget-tokens`.
        budget_cost: `--budget-cost`.
        has_prices: Whether the settings have prices.

    Raises:
        Failure: A text is invalid, or the budget of money has no prices.
    """
    from dataclasses import replace

    from tenuto.operations.limits.budget import Budgets
    from tenuto.operations.limits.limit import KeyLimits

    changes: dict[str, Any] = {}
    if owner is not None:
        changes["owner"] = "" if owner.strip().lower() == REMOVED else owner.strip()
    if expires is not None:
        seconds = parse("--expires", expires, parse_lifetime)
        now = time.time_ns() // 1_000_000
        changes["expires"] = None if seconds is None else now + seconds * 1000
    if models is not None:
        changes["models"] = parse("--models", models, parse_models) or ()
    counts = {
        name: parse(f"--{name.replace('_', '-')}", text, parse_count)
        for name, text in limits.items()
        if text is not None
    }
    if counts:
        changes["limits"] = replace(before.limits if before else KeyLimits(), **counts)
    budgets = {}
    if budget_tokens is not None:
        budgets["tokens"] = parse("--budget-tokens", budget_tokens, parse_token_budget)
    if budget_cost is not None:
        budgets["cost"] = parse("--budget-cost", budget_cost, parse_cost_budget)
        if budgets["cost"] is not None and not has_prices:
            raise Failure(
                "--budget-cost: a budget of money needs prices; add the section [prices] to "
                "tenuto.toml",
                2,
            )
    if budgets:
        changes["budgets"] = replace(before.budgets if before else Budgets(), **budgets)
    return changes
