"""Names that the service published: models with their retirement dates.

Sources: the model lists of the official clients up to Python 2.11 and TypeScript 0.137, their
table of deprecated models, and the service's pages on model deprecations and on migrating from
Text Completions. All lists are open: by default any name is accepted.
"""

from __future__ import annotations

from datetime import date
from typing import Final

_INSTANT_END: Final = date(2024, 11, 6)
_TWO_END: Final = date(2025, 7, 21)

# The models that spoke Text Completions, newest first, and when they were retired. `claude-v1`
# and the like are the names of the first half of 2023.
TEXT_MODELS: Final[dict[str, date]] = {
    "claude-2.1": _TWO_END,
    "claude-2.0": _TWO_END,
    "claude-2": _TWO_END,
    "claude-instant-1.2": _INSTANT_END,
    "claude-instant-1.1": _INSTANT_END,
    "claude-instant-1.1-100k": _INSTANT_END,
    "claude-instant-1": _INSTANT_END,
    "claude-instant-v1": _INSTANT_END,
    "claude-instant-v1-100k": _INSTANT_END,
    "claude-instant-v1.0": _INSTANT_END,
    "claude-instant-v1.1": _INSTANT_END,
    "claude-instant-v1.1-100k": _INSTANT_END,
    "claude-1.3": _INSTANT_END,
    "claude-1.3-100k": _INSTANT_END,
    "claude-1": _INSTANT_END,
    "claude-1-100k": _INSTANT_END,
    "claude-v1": _INSTANT_END,
    "claude-v1-100k": _INSTANT_END,
    "claude-v1.0": _INSTANT_END,
    "claude-v1.2": _INSTANT_END,
    "claude-v1.3": _INSTANT_END,
    "claude-v1.3-100k": _INSTANT_END,
}

# A family's name stands for its newest member.
ALIASES: Final = {
    "claude-2": "claude-2.1",
    "claude-1": "claude-1.3",
    "claude-1-100k": "claude-1.3-100k",
    "claude-instant-1": "claude-instant-1.2",
    "claude-v1": "claude-1.3",
    "claude-v1-100k": "claude-1.3-100k",
    "claude-instant-v1": "claude-instant-1.2",
    "claude-instant-v1-100k": "claude-instant-1.1-100k",
}

# Models that only ever spoke Messages, though the clients' types list them for this endpoint.
# None: not retired, as far as is known here.
MESSAGES_MODELS: Final[dict[str, date | None]] = {
    "claude-3-haiku-20240307": date(2026, 4, 20),
    "claude-3-sonnet-20240229": _TWO_END,
    "claude-3-opus-20240229": date(2026, 1, 5),
    "claude-3-opus-latest": date(2026, 1, 5),
    "claude-3-5-haiku-20241022": date(2026, 2, 19),
    "claude-3-5-haiku-latest": date(2026, 2, 19),
    "claude-3-7-sonnet-20250219": date(2026, 2, 19),
    "claude-3-7-sonnet-latest": date(2026, 2, 19),
    "claude-opus-4-0": date(2026, 6, 15),
    "claude-opus-4-20250514": date(2026, 6, 15),
    "claude-4-opus-20250514": date(2026, 6, 15),
    "claude-sonnet-4-0": date(2026, 6, 15),
    "claude-sonnet-4-20250514": date(2026, 6, 15),
    "claude-4-sonnet-20250514": date(2026, 6, 15),
    "claude-mythos-preview": date(2026, 6, 30),
    "claude-sonnet-4-5": date(2026, 11, 30),
    "claude-sonnet-4-5-20250929": date(2026, 11, 30),
    "claude-opus-4-1": None,
    "claude-opus-4-1-20250805": None,
    "claude-opus-4-5": None,
    "claude-opus-4-5-20251101": None,
    "claude-haiku-4-5": None,
    "claude-haiku-4-5-20251001": None,
    "claude-opus-4-6": None,
    "claude-sonnet-4-6": None,
    "claude-opus-4-7": None,
    "claude-opus-4-8": None,
    "claude-opus-5": None,
    "claude-opus-5-5": None,
    "claude-sonnet-5": None,
    "claude-sonnet-5-5": None,
    "claude-haiku-5-5": None,
    "claude-fable-5": None,
    "claude-fable-5-1": None,
    "claude-fable-5-2": None,
    "claude-mythos-5": None,
    "claude-mythos-5-1": None,
    "claude-mythos-5-2": None,
}


def resolve(name: str) -> str:
    """A model's own name for the name of its family, and every other name as it is."""
    return ALIASES.get(name, name)


def retired_on(name: str) -> date | None:
    """When the service retired a model, None if it did not or never had it."""
    return TEXT_MODELS.get(name) or MESSAGES_MODELS.get(name)
