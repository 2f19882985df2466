"""Model names that the service published, with their retirement dates.

Sources: the model lists of the official clients up to Python 2.11 and TypeScript 0.137, their
table of deprecated models, and the service's pages on model deprecations and on migrating from
Text Completions. By default, every other name is accepted too.
"""

from __future__ import annotations

from datetime import date
from typing import Final, Literal, TypeAlias, get_args

# Models of Text Completions, newest first. `claude-v1` and similar names date from the first half
# of 2023.
TextModel: TypeAlias = Literal[
    "claude-2.1",
    "claude-2.0",
    "claude-2",
    "claude-instant-1.2",
    "claude-instant-1.1",
    "claude-instant-1.1-100k",
    "claude-instant-1",
    "claude-instant-v1",
    "claude-instant-v1-100k",
    "claude-instant-v1.0",
    "claude-instant-v1.1",
    "claude-instant-v1.1-100k",
    "claude-1.3",
    "claude-1.3-100k",
    "claude-1",
    "claude-1-100k",
    "claude-v1",
    "claude-v1-100k",
    "claude-v1.0",
    "claude-v1.2",
    "claude-v1.3",
    "claude-v1.3-100k",
]

# Models of the Messages API only, though the official clients' types list them for this endpoint.
MessagesModel: TypeAlias = Literal[
    "claude-3-haiku-20240307",
    "claude-3-sonnet-20240229",
    "claude-3-opus-20240229",
    "claude-3-opus-latest",
    "claude-3-5-haiku-20241022",
    "claude-3-5-haiku-latest",
    "claude-3-7-sonnet-20250219",
    "claude-3-7-sonnet-latest",
    "claude-opus-4-0",
    "claude-opus-4-20250514",
    "claude-4-opus-20250514",
    "claude-sonnet-4-0",
    "claude-sonnet-4-20250514",
    "claude-4-sonnet-20250514",
    "claude-mythos-preview",
    "claude-sonnet-4-5",
    "claude-sonnet-4-5-20250929",
    "claude-opus-4-1",
    "claude-opus-4-1-20250805",
    "claude-opus-4-5",
    "claude-opus-4-5-20251101",
    "claude-haiku-4-5",
    "claude-haiku-4-5-20251001",
    "claude-opus-4-6",
    "claude-sonnet-4-6",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-opus-5-5",
    "claude-sonnet-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-fable-5",
    "claude-fable-5-1",
    "claude-fable-5-2",
    "claude-mythos-5",
    "claude-mythos-5-1",
    "claude-mythos-5-2",
]

# The name of a family stands for its newest member.
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

_TWO_END: Final = date(2025, 7, 21)
_INSTANT_END: Final = date(2024, 11, 6)
_MESSAGES_ENDS: Final[dict[date, tuple[MessagesModel, ...]]] = {
    _TWO_END: ("claude-3-sonnet-20240229",),
    date(2026, 1, 5): ("claude-3-opus-20240229", "claude-3-opus-latest"),
    date(2026, 2, 19): (
        "claude-3-5-haiku-20241022",
        "claude-3-5-haiku-latest",
        "claude-3-7-sonnet-20250219",
        "claude-3-7-sonnet-latest",
    ),
    date(2026, 4, 20): ("claude-3-haiku-20240307",),
    date(2026, 6, 15): (
        "claude-opus-4-0",
        "claude-opus-4-20250514",
        "claude-4-opus-20250514",
        "claude-sonnet-4-0",
        "claude-sonnet-4-20250514",
        "claude-4-sonnet-20250514",
    ),
    date(2026, 6, 30): ("claude-mythos-preview",),
    date(2026, 11, 30): ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
}

TEXT_MODELS: Final[dict[str, date]] = {
    name: _TWO_END if name.startswith("claude-2") else _INSTANT_END for name in get_args(TextModel)
}
MESSAGES_MODELS: Final[dict[str, date | None]] = dict.fromkeys(get_args(MessagesModel)) | {
    name: end for end, names in _MESSAGES_ENDS.items() for name in names
}
"""None: not retired, as far as the sources report."""


def resolve(name: str) -> str:
    """Return the newest member for the name of a family, and every other name unchanged."""
    return ALIASES.get(name, name)


def retired_on(name: str) -> date | None:
    """Return the date when the service retired a model; None for a current or unknown model."""
    return TEXT_MODELS.get(name) or MESSAGES_MODELS.get(name)
