"""Check values against a tree of sections, which are frozen data classes. Every mistake is found.

A setting is a path of keys from the top: `("engine", "local", "threads")`. Messages never contain
a value, because values may be secrets.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args, get_type_hints

Keys: TypeAlias = tuple[str, ...]
Origins: TypeAlias = Mapping[Keys, str]
"""Which file or variable each setting comes from. Without an entry: a default."""

_Section = TypeVar("_Section")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Bytes of the environment that are not UTF-8. The name of a file may have them.
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def sections_of(section: type) -> Mapping[str, type | None]:
    """Return every key of a section, with its class if it is a section itself."""
    hints = _hints(section)
    return {
        entry.name: kind
        if isinstance(kind := hints[entry.name], type) and _is_section(kind)
        else None
        for entry in dataclasses.fields(section)
    }


def settings_of(section: type, above: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield every setting below a section, with its type."""
    hints = _hints(section)
    for key, inner in sections_of(section).items():
        if inner is None:
            yield (*above, key), hints[key]
        else:
            yield from settings_of(inner, (*above, key))


def is_list(kind: Any) -> bool:
    """Return whether a setting of this type is a list of texts."""
    return bool(kind == tuple[str, ...])


def named(keys: Keys) -> str:
    """Return a setting as messages name it: `[engine.local] threads`."""
    *sections, name = keys
    return f"[{'.'.join(sections)}] {name}" if sections else f"[{name}]"


def take_unknown(section: type, values: dict[str, Any], name: str = "") -> list[str]:
    """Remove what a section does not have, and return a line for each such key."""
    known = sections_of(section)
    mistakes = []
    for key in list(values):
        inner = known.get(key)
        below = f"{name}.{key}" if name else key
        if key not in known:
            mistakes.append(_unknown_key(section, name, key, values.pop(key)))
        elif inner is not None:
            if isinstance(values[key], dict):
                mistakes += take_unknown(inner, values[key], below)
            else:
                del values[key]
                mistakes.append(f"`{below}` is a section: write [{below}]")
    return mistakes


def _unknown_key(section: type, name: str, key: str, value: object) -> str:
    known = sections_of(section)
    near = difflib.get_close_matches(key[:100], known, n=1, cutoff=0.4)
    shown = key if len(key) <= 100 else f"{key[:100]}…"
    inner = [each for each, kind in known.items() if kind is not None]
    prefix = f"{name}." if name else ""
    if (isinstance(value, dict) and inner) or not name:
        if not isinstance(value, dict):
            for keys, _ in settings_of(section):
                if keys[-1] == key:
                    return f"`{shown}` is in no section; write it below [{'.'.join(keys[:-1])}]"
        near = difflib.get_close_matches(key[:100], inner, n=1, cutoff=0.4)
        there = ", ".join(f"[{prefix}{each}]" for each in inner)
        hint = f"did you mean [{prefix}{near[0]}]?" if near else f"there are: {there}"
        return f"there is no section [{prefix}{shown}]; {hint}"
    hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(known)}"
    return f"[{name}] has no key `{shown}`; {hint}"


def check_values(section: type, values: Mapping[str, Any], above: Keys = ()) -> dict[Keys, str]:
    """Return what is wrong with values that their types would let pass.

    Empty texts and those with control characters; true and false as numbers.
    """
    mistakes: dict[Keys, str] = {}
    for keys, kind in settings_of(section):
        value: Any = values
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if wrong := _wrong(kind, value):
            mistakes[(*above, *keys)] = wrong
    return mistakes


def _wrong(kind: Any, value: Any) -> str | None:
    if isinstance(value, str):
        if not value.strip():
            return "must not be empty; leave it out for the default"
        if _CONTROL.search(value):
            return "has a control character, such as a line end"
        if _SURROGATE.search(value) and not _allows(kind, Path):
            return "is not UTF-8"
    elif isinstance(value, bool) and not _allows(kind, bool):
        return "must not be true or false"
    elif isinstance(value, dict) and _is_section(kind):
        return next(
            (f"{keys[-1]} {wrong}" for keys, wrong in check_values(kind, value).items()), None
        )
    elif isinstance(value, list):
        inner = [each for each in get_args(kind) if each is not Ellipsis]
        for number, each in enumerate(value, 1):
            if wrong := _wrong(inner[0] if inner else kind, each):
                return f"number {number} {wrong.partition(';')[0]}"
    return None


def _allows(kind: Any, wanted: type) -> bool:
    return kind is wanted or any(_allows(each, wanted) for each in get_args(kind))


def validated(
    section: type[_Section], values: Mapping[str, Any], above: Keys = ()
) -> tuple[_Section | None, dict[Keys, str]]:
    """Make a section of values.

    Returns:
        The section, or None; and for each setting that is wrong what is wrong with it.
    """
    from pydantic import ValidationError

    wrong = check_values(section, values, above)
    try:
        adapter = _adapter(section)  # type: ignore[arg-type]
        made: _Section = adapter.validate_python(values)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False, include_context=False):
            keys, number = _place(section, each["loc"])
            message = _in_words(each["msg"])
            text = message if number is None else f"{message} (number {number + 1})"
            wrong.setdefault((*above, *keys), text)
        return None, wrong
    for keys, _ in settings_of(section):
        if _is_infinite(_value(made, keys)):
            wrong.setdefault((*above, *keys), "must be a finite number")
    return (None if wrong else made), wrong


def _in_words(message: str) -> str:
    """Replace Python's words by those of a settings file."""
    if "valid path" in message:
        return "Input should be a valid string"
    if "str.isascii" in message:
        return "must be ASCII"
    return message.replace("a valid tuple", "a list").replace("Tuple should", "List should")


def _place(section: type, location: tuple[int | str, ...]) -> tuple[Keys, int | None]:
    """Return the setting that an error is in, and the position in a list of sections."""
    keys: list[str] = []
    number: int | None = None
    inner: type | None = section
    for part in location:
        if isinstance(part, int):
            number = part if number is None else number
        elif inner is None or part not in sections_of(inner):
            # A part of the type's description, such as the alternative of a union.
            continue
        else:
            keys.append(part)
            kind = _hints(inner)[part]
            inside = next((each for each in get_args(kind) if _is_section(each)), None)
            inner = kind if _is_section(kind) else inside
    return tuple(keys), number


def _value(section: object, keys: Keys) -> Any:
    for key in keys:
        section = getattr(section, key)
    return section


def _is_infinite(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_is_infinite(each) for each in value)
    if dataclasses.is_dataclass(value):
        return any(_is_infinite(getattr(value, each.name)) for each in dataclasses.fields(value))
    return isinstance(value, float) and not math.isfinite(value)


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


@lru_cache(maxsize=64)
def _adapter(section: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(section)


@lru_cache(maxsize=64)
def _hints(section: type) -> dict[str, Any]:
    return get_type_hints(section)
