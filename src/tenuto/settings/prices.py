"""`[prices]`: the prices of models, for budgets of money and for the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tenuto.quantities import Money
from tenuto.settings import tree
from tenuto.settings.tree import Keys

PRICES: Final[Keys] = ("prices",)


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """`[prices.MODEL]`: the price of a million tokens, in units of the operator's currency.

    MODEL is a name in quotes, in which `*` stands for any text. The first section of the file that
    matches a model counts. Models without a price cost nothing.

    Attributes:
        input: Price of input tokens.
        output: Price of output tokens.
        cached: Price of input tokens that were cache hits. Unset: that of `input`.
    """

    input: Money
    output: Money
    cached: Money | None = None


def take_prices(values: dict[str, Any]) -> tuple[dict[str, PriceSettings], list[str]]:
    """Remove the prices from the values of a file. Return them, and a line for each mistake."""
    content = values.pop("prices", {})
    if not isinstance(content, Mapping) or not all(isinstance(v, dict) for v in content.values()):
        return {}, ["write a section [prices.MODEL] for each model, with `input` and `output`"]
    prices: dict[str, PriceSettings] = {}
    mistakes: list[str] = []
    for model, price in content.items():
        name = f'prices."{model[:100]}"'
        unknown = tree.take_unknown(PriceSettings, price, name)
        made, wrongs = tree.validated(PriceSettings, price, PRICES)
        mistakes += unknown
        mistakes += [f"[{name}] {keys[-1]}: {wrong}" for keys, wrong in wrongs.items()]
        if made is not None:
            prices[model] = made
    return prices, mistakes
