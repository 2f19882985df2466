"""One API key, without the key itself."""

from __future__ import annotations

import re
from dataclasses import field
from functools import lru_cache

from tenuto.core.patterns import compile_patterns
from tenuto.core.value import value
from tenuto.operations.limits.budget import Budgets
from tenuto.operations.limits.limit import KeyLimits


@value
class KeyEntry:
    """An API key. Moments are in milliseconds since 1970, as in the ledger.

    Attributes:
        id: Its number, never used again for another key.
        name: Its unique name, in logs, metrics and usage.
        hash: SHA-256 of the key, 32 bytes.
        owner: Free text about the person or team; "" for none.
        created: The moment when it was made.
        expires: The first moment when it is no longer accepted; None for never.
        disabled: Whether the operator has disabled it.
        models: Patterns of the models that it may use; `*` stands for any text. Empty for all.
        limits: Its limits.
        budgets: Its budgets.
    """

    id: int
    name: str
    hash: bytes = field(repr=False)
    owner: str = ""
    created: int = 0
    expires: int | None = None
    disabled: bool = False
    models: tuple[str, ...] = ()
    limits: KeyLimits = KeyLimits()
    budgets: Budgets = Budgets()

    def allows(self, model: str) -> bool:
        """Return whether the key may use a model."""
        return not self.models or _compiled(self.models).fullmatch(model) is not None


# Most keys share a few lists of patterns.
@lru_cache(maxsize=1024)
def _compiled(models: tuple[str, ...]) -> re.Pattern[str]:
    return compile_patterns(models)
