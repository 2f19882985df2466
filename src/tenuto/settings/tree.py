"""Check values against a tree of sections, which are frozen data classes. Report every mistake.

A setting is a path of keys from the root: `("engine", "local", "threads")`. Messages never contain
values, because values may be secrets.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args, get_type_hints

Keys: TypeAlias = tuple[str, ...]
Origins: TypeAlias = Mapping[Keys, str]
"""The file or variable of each setting without its default."""

_Section = TypeVar("_Section")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Bytes of the environment outside UTF-8, which are valid in file names.
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def sections_of(section: type) -> Mapping[str, type | None]:
    """Return every key of a section, with the class of an inner section."""
    hints = _hints(section)
    names = (entry.name for entry in dataclasses.fields(section))
    return {name: hints[name] if _is_section(hints[name]) else None for name in names}


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
    """Return a setting's name in messages: `[engine.local] threads`."""
    *sections, name = keys
    return f"[{'.'.join(sections)}] {name}" if sections else f"[{name}]"


def value_of(values: Any, keys: Keys) -> Any:
    """Return the value of a setting in the content of a file; None without one."""
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def take_unknown(section: type, values: dict[str, Any], name: str = "") -> list[str]:
    """Remove the keys that a section lacks, and return a line for each."""
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
    shown = key if len(key) <= 100 else f"{key[:100]}…"
    inner = [each for each, kind in known.items() if kind is not None]
    is_section = isinstance(value, dict)
    if name and not (is_section and inner):
        return f"[{name}] has no key `{shown}`; {_hint(key, known, '`{}`')}"
    if not is_section:
        for keys, _ in settings_of(section):
            if keys[-1] == key:
                return f"`{shown}` is in no section; write it below [{'.'.join(keys[:-1])}]"
    form = f"[{name}.{{}}]" if name else "[{}]"
    return f"unknown section {form.format(shown)}; {_hint(key, inner, form)}"


def _hint(key: str, known: Iterable[str], form: str) -> str:
    # Imported late because most files have no mistakes.
    from difflib import get_close_matches

    if near := get_close_matches(key[:100], known, n=1, cutoff=0.4):
        return f"did you mean {form.format(near[0])}?"
    return f"write one of: {', '.join(map(form.replace('`', '').format, known))}"


def check_values(section: type, values: Mapping[str, Any], above: Keys = ()) -> dict[Keys, str]:
    """Return mistakes that pydantic accepts: empty texts, control characters, true for a number."""
    mistakes: dict[Keys, str] = {}
    for keys, kind in settings_of(section):
        if mistake := _mistake(kind, value_of(values, keys)):
            mistakes[(*above, *keys)] = mistake
    return mistakes


def _mistake(kind: Any, value: Any) -> str | None:
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
        mistakes = check_values(kind, value).items()
        return next((f"{keys[-1]} {mistake}" for keys, mistake in mistakes), None)
    elif isinstance(value, list):
        inner = [each for each in get_args(kind) if each is not Ellipsis]
        for number, each in enumerate(value, 1):
            if mistake := _mistake(inner[0] if inner else kind, each):
                return f"number {number} {mistake.partition(';')[0]}"
    return None


def _allows(kind: Any, wanted: type) -> bool:
    return kind is wanted or any(_allows(each, wanted) for each in get_args(kind))


def validated(
    section: type[_Section], values: Mapping[str, Any], above: Keys = ()
) -> tuple[_Section | None, dict[Keys, str]]:
    """Return a section made of values, or None; and the mistake in each invalid setting."""
    if not values and not above:
        # The defaults, without an import of pydantic.
        return section(), {}
    from pydantic import ValidationError

    mistakes = check_values(section, values, above)
    try:
        made: _Section = _adapter(section).validate_python(values)  # type: ignore[arg-type]
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False, include_context=False):
            keys, number = _place(section, each["loc"])
            message = _plain(each["msg"])
            text = message if number is None else f"{message} (number {number + 1})"
            mistakes.setdefault((*above, *keys), text)
        return None, mistakes
    return (None if mistakes else made), mistakes


def _plain(message: str) -> str:
    """Replace Python's terms by those of a settings file."""
    if "valid path" in message:
        return "Input should be a valid string"
    if "str.isascii" in message:
        return "must be ASCII"
    return message.replace("a valid tuple", "a list").replace("Tuple should", "List should")


def _place(section: type, location: tuple[int | str, ...]) -> tuple[Keys, int | None]:
    """Return the setting of an error, and the position in a list of sections."""
    keys: list[str] = []
    number: int | None = None
    inner: type | None = section
    for part in location:
        if isinstance(part, int):
            number = part if number is None else number
        elif inner is not None and part in sections_of(inner):
            keys.append(part)
            kind = _hints(inner)[part]
            inner = next(filter(_is_section, (kind, *get_args(kind))), None)
        # Other parts describe the type, such as an alternative of a union.
    return tuple(keys), number


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


@lru_cache(maxsize=64)
def _adapter(section: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(section)


@lru_cache(maxsize=64)
def _hints(section: type) -> dict[str, Any]:
    return get_type_hints(section)
