"""`tenuto keys create` and so on: keys in the store, which running servers see within 2 s."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tenuto.cli import key_terms, options
from tenuto.cli.failure import Failure
from tenuto.cli.key_report import print_entries, print_entry, print_key
from tenuto.cli.store import opened_store
from tenuto.cli.terminal import hint, note

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the key.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name that no other key has.")],
    owner: key_terms.Owner = None,
    expires: key_terms.Expires = None,
    models: key_terms.Models = None,
    requests_per_minute: key_terms.Requests = None,
    input_tokens_per_minute: key_terms.InputTokens = None,
    output_tokens_per_minute: key_terms.OutputTokens = None,
    concurrent: key_terms.Concurrent = None,
    budget_tokens: key_terms.BudgetTokens = None,
    budget_cost: key_terms.BudgetCost = None,
    json: Json = False,
    config: options.Config = None,
) -> None:
    """Create a key, and print it. The store has its hash only, so that it is shown once.

    Without an option a key has no limit of that kind, except those of [limits.default]. Numbers
    may end in k, M or G.

    \b
    tenuto keys create research --requests-per-minute 100 --budget-tokens 5M/month
    """  # noqa: D301 - `\b` tells typer to keep these lines
    with opened_store(config) as (database, settings):
        from tenuto.operations.store.key_table import KeyTable

        terms = key_terms.changed_terms(
            before=None,
            owner=owner,
            expires=expires,
            models=models,
            limits={
                "requests_per_minute": requests_per_minute,
                "input_tokens_per_minute": input_tokens_per_minute,
                "output_tokens_per_minute": output_tokens_per_minute,
                "concurrent": concurrent,
            },
            budget_tokens=budget_tokens,
            budget_cost=budget_cost,
            has_prices=bool(settings.prices),
        )
        entry, key = KeyTable(database).create(name, **terms)
    print_key(entry, key, json=json)
    if sys.stdout.isatty():
        hint("Next: clients set TENUTO_API_KEY; `tenuto usage` shows what the key uses.")


def list_(
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    config: options.Config = None,
) -> None:
    """List the keys of the store. Those in the settings file are not among them."""
    with opened_store(config) as (database, _):
        from tenuto.operations.store.key_table import KeyTable

        entries = KeyTable(database).entries()
    print_entries(entries, json=json)


def show(name: Name, json: Json = False, config: options.Config = None) -> None:
    """Show one key, without the key itself, which is nowhere stored."""
    with opened_store(config) as (database, _):
        from tenuto.operations.store.key_table import KeyTable

        entry = KeyTable(database).show(name)
    print_entry(entry, json=json)


def update(
    name: Name,
    owner: key_terms.Owner = None,
    expires: key_terms.Expires = None,
    models: key_terms.Models = None,
    requests_per_minute: key_terms.Requests = None,
    input_tokens_per_minute: key_terms.InputTokens = None,
    output_tokens_per_minute: key_terms.OutputTokens = None,
    concurrent: key_terms.Concurrent = None,
    budget_tokens: key_terms.BudgetTokens = None,
    budget_cost: key_terms.BudgetCost = None,
    enable: Annotated[bool, typer.Option("--enable", help="Enable a disabled key.")] = False,
    json: Json = False,
    config: options.Config = None,
) -> None:
    """Change the terms of a key. The value `none` removes one; others stay.

    \b
    tenuto keys update research --requests-per-minute 200 --expires none
    """  # noqa: D301 - `\b` tells typer to keep these lines
    with opened_store(config) as (database, settings):
        from tenuto.operations.store.key_table import KeyTable

        table = KeyTable(database)
        terms = key_terms.changed_terms(
            before=table.show(name),
            owner=owner,
            expires=expires,
            models=models,
            limits={
                "requests_per_minute": requests_per_minute,
                "input_tokens_per_minute": input_tokens_per_minute,
                "output_tokens_per_minute": output_tokens_per_minute,
                "concurrent": concurrent,
            },
            budget_tokens=budget_tokens,
            budget_cost=budget_cost,
            has_prices=bool(settings.prices),
        )
        if enable:
            terms["disabled"] = False
        if not terms:
            raise Failure("nothing to change; `tenuto keys update --help` lists the options", 2)
        entry = table.update(name, **terms)
    print_entry(entry, json=json)


def disable(name: Name, json: Json = False, config: options.Config = None) -> None:
    """Disable a key until `tenuto keys update NAME --enable`."""
    with opened_store(config) as (database, _):
        from tenuto.operations.store.key_table import KeyTable

        entry = KeyTable(database).update(name, disabled=True)
    print_entry(entry, json=json)


def rotate(name: Name, json: Json = False, config: options.Config = None) -> None:
    """Replace a key by a new one with the same terms, and print it. The old one ends within 2 s."""
    with opened_store(config) as (database, _):
        from tenuto.operations.store.key_table import KeyTable

        entry, key = KeyTable(database).rotate(name)
    print_key(entry, key, json=json)


def delete(name: Name, json: Json = False, config: options.Config = None) -> None:
    """Delete a key. Its usage stays."""
    with opened_store(config) as (database, _):
        from tenuto.operations.store.key_table import KeyTable

        entry = KeyTable(database).delete(name)
    if json:
        print_entry(entry, json=True)
    else:
        note(f"Deleted {entry.name}.")
