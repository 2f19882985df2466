"""Texts that set the terms of a key: `90d`, `5M/month`, `20/day`, `claude-*,qwen`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from decimal import Decimal
from difflib import get_close_matches
from typing import Final

from tenuto.operations.limits.budget import Budget, Period
from tenuto.operations.limits.limit import MAX_LIMIT, KeyLimits

LIMITS: Final = tuple(each.name for each in fields(KeyLimits))
"""Names of the limits of a key."""

_MICRO_UNITS: Final = 1_000_000
_NUMBER: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([^\s0-9./]{0,32})", re.ASCII)
_THOUSANDS: Final = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
# Words that people write for a unit. `M` and `m` are different units in the two tables.
_WORDS: Final = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours", "H"), "h"),
    **dict.fromkeys(("day", "days", "D"), "d"),
    **dict.fromkeys(("K", "thousand"), "k"),
    **dict.fromkeys(("m", "mio", "million", "millions", "Mio"), "M"),
    **dict.fromkeys(("g", "B", "b", "billion", "billions"), "G"),
    **dict.fromkeys(("daily", "d", "today"), "day"),
    **dict.fromkeys(("monthly", "mo", "mon"), "month"),
}
_LONGEST_S: Final = 100 * 365 * 86_400
_MAX_PATTERNS: Final = 64
_MAX_PATTERN_CHARS: Final = 256


class PolicyError(ValueError):
    """A text that sets no valid terms. The message names the mistake and the remedy."""


def parse_lifetime(text: str) -> int:
    """Parse a lifetime: a number with `s`, `m`, `h` or `d`, as in `90d`.

    Returns:
        Seconds, from 1 to those of 100 years.

    Raises:
        PolicyError: The number or its unit is invalid, or the lifetime is no whole second.
    """
    number, unit = _split(text, "a number with a unit, as in `90d`")
    if not unit:
        raise PolicyError(f"`{_shown(text)}` has no unit; write it with s, m, h or d, as in `90d`")
    seconds = _scaled(text, number, _unit(unit, _SECONDS), "seconds")
    if not 1 <= seconds <= _LONGEST_S:
        raise PolicyError(f"`{_shown(text)}` must be from 1s to {_LONGEST_S // 86_400}d")
    return seconds


def parse_count(text: str) -> int:
    """Parse a number of requests or tokens, as in `100`, `20k` or `1.5M`.

    Raises:
        PolicyError: It is no whole number from 1 to `MAX_LIMIT`.
    """
    number, unit = _split(text, "a number, as in `100`, `20k` or `1.5M`")
    return _bounded(text, _scaled(text, number, _unit(unit, _THOUSANDS), "units"), MAX_LIMIT)


def parse_token_budget(text: str) -> Budget:
    """Parse a budget of tokens, as in `5M/month`.

    Raises:
        PolicyError: The number, its unit or the period is invalid.
    """
    amount, period = _split_budget(text, "5M/month")
    return Budget(parse_count(amount), period)


def parse_cost_budget(text: str) -> Budget:
    """Parse a budget of money, in the currency of the prices, as in `20/day` or `0.5/month`.

    Returns:
        The budget in micro-units.

    Raises:
        PolicyError: The number, its unit or the period is invalid, or it has more than six decimal
            places.
    """
    amount, period = _split_budget(text, "20/day")
    number, unit = _split(amount, "an amount of money, as in `20` or `0.5`")
    micro_units = _scaled(amount, number, _unit(unit, _THOUSANDS) * _MICRO_UNITS, "millionths")
    return Budget(_bounded(amount, micro_units, MAX_LIMIT, _MICRO_UNITS), period)


def parse_models(text: str) -> tuple[str, ...]:
    """Parse patterns of models, separated by commas: `claude-*,qwen`. `*` stands for any text.

    Returns:
        The patterns in their order, each once. Not empty.

    Raises:
        PolicyError: A pattern is empty, too long or has a control character, or there are too many.
    """
    patterns = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if "" in patterns:
        raise PolicyError("a model name is empty; write names with one comma between them")
    if len(patterns) > _MAX_PATTERNS:
        raise PolicyError(
            f"{len(patterns)} model names are too many; write {_MAX_PATTERNS} at most"
        )
    for each in patterns:
        if len(each) > _MAX_PATTERN_CHARS:
            raise PolicyError(f"`{_shown(each)}` must have {_MAX_PATTERN_CHARS} characters at most")
        if not each.isprintable():
            raise PolicyError("a model name has a control character")
    return patterns


def parse_limits(texts: Mapping[str, str]) -> KeyLimits:
    """Parse limits by their name in `KeyLimits`, as in `{"requests_per_minute": "100"}`.

    Raises:
        PolicyError: A name is unknown, or its number is invalid.
    """
    limits: dict[str, int] = {}
    for name, text in texts.items():
        known = name.replace("-", "_")
        if known not in LIMITS:
            raise PolicyError(f"unknown limit `{_shown(name)}`; {_nearest(known, LIMITS)}")
        try:
            limits[known] = parse_count(text)
        except PolicyError as error:
            raise PolicyError(f"{name}: {error}") from None
    return KeyLimits(**limits)


def _split_budget(text: str, example: str) -> tuple[str, Period]:
    amount, slash, period = text.strip().partition("/")
    names = [each.value for each in Period]
    if not slash:
        raise PolicyError(f"`{_shown(text)}` has no period; write it as in `{example}`")
    word = period.strip()
    if word not in names:
        raise PolicyError(f"unknown period `{_shown(word)}`; {_nearest(word, names)}")
    return amount, Period(word)


def _split(text: str, form: str) -> tuple[Decimal, str]:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise PolicyError(f"`{_shown(text)}` must be {form}")
    return Decimal(match[1]), match[2]


def _unit(unit: str, units: Mapping[str, int]) -> int:
    if unit not in units:
        raise PolicyError(
            f"unknown unit `{_shown(unit)}`; {_nearest(unit, [*filter(None, units)])}"
        )
    return units[unit]


def _scaled(text: str, number: Decimal, factor: int, name: str) -> int:
    # Exact: a number has 40 digits at most, and the context of `Decimal` would round to 28.
    numerator, denominator = number.as_integer_ratio()
    scaled, rest = divmod(numerator * factor, denominator)
    if rest:
        raise PolicyError(f"`{_shown(text)}` must be a whole number of {name}")
    return scaled


def _bounded(text: str, number: int, most: int, unit: int = 1) -> int:
    if not 1 <= number <= most:
        raise PolicyError(f"`{_shown(text)}` must be above 0 and at most {most // unit}")
    return number


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    word = _WORDS.get(name) or _WORDS.get(name.lower())
    candidates = [word] if word in known else get_close_matches(name[:100].lower(), known, n=1)
    if not candidates:
        near = get_close_matches(name[:100].lower(), _WORDS, n=1, cutoff=0.75)
        candidates = [_WORDS[each] for each in near if _WORDS[each] in known]
    if candidates:
        return f"did you mean `{candidates[0]}`?"
    return f"write one of: {', '.join(known)}"


def _shown(text: str) -> str:
    shown = text if len(text) <= 50 else f"{text[:50]}…"
    return shown if shown.isprintable() else ascii(shown)[1:-1]
