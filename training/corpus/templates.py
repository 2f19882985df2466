"""Templates: ``{a|b}`` chooses an alternative, ``<slot>`` is replaced by a value.

``<name>`` is the unchanged value, ``<Name>`` has a capital, ``<a thing>`` has an article and
``<A thing>`` a capital article. A digit at the end (``<name2>``) names a second, different value of
the same kind.
"""

import re
from functools import cache
from random import Random

Part = str | tuple["Sequence", ...]
Sequence = tuple[Part, ...]

_SLOT = re.compile(r"<(?:([aA]) )?([A-Za-z_]+\d?)>")
_SPACES = re.compile(r"  +")


def _sequence(text: str, at: int) -> tuple[Sequence, int]:
    """Parse `text` from `at` up to the ``|`` or ``}`` that ends this alternative."""
    parts: list[Part] = []
    start = at
    while at < len(text) and text[at] not in "|}":
        if text[at] != "{":
            at += 1
            continue
        if at > start:
            parts.append(text[start:at])
        choices: list[Sequence] = []
        while text[at] != "}":
            choice, at = _sequence(text, at + 1)
            choices.append(choice)
            if at == len(text):
                raise ValueError(f"a brace is not closed in {text!r}")
        parts.append(tuple(choices))
        at += 1
        start = at
    if at > start:
        parts.append(text[start:at])
    return tuple(parts), at


@cache
def _parsed(template: str) -> Sequence:
    sequence, end = _sequence(template, 0)
    if end != len(template):
        raise ValueError(f"a bar or closing brace is outside braces in {template!r}")
    return sequence


def _chosen(sequence: Sequence, rng: Random, out: list[str]) -> None:
    for part in sequence:
        if isinstance(part, str):
            out.append(part)
        else:
            _chosen(rng.choice(part), rng, out)


def capital(text: str) -> str:
    """Return `text` with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def article(noun: str) -> str:
    """Return `noun` with ``a`` or ``an`` before it, by its first letter."""
    vowel = noun[:1].lower() in "aeiou" and not noun.startswith(("uni", "use", "one"))
    return ("an " if vowel else "a ") + noun


def slots(*templates: str) -> list[str]:
    """Return the names of the slots in `templates`, each once, in order of appearance."""
    found = (name[0].lower() + name[1:] for text in templates for _, name in _SLOT.findall(text))
    return list(dict.fromkeys(found))


def fill(text: str, values: dict[str, str]) -> str:
    """Return `text` with each slot replaced by its value; slots in values are not replaced."""

    def value(match: re.Match[str]) -> str:
        form, name = match.groups()
        word = values[name[0].lower() + name[1:]]
        if form:
            word = article(word)
        return capital(word) if form == "A" or name[0].isupper() else word

    return _SLOT.sub(value, text)


def expand(template: str, rng: Random, values: dict[str, str] | None = None) -> str:
    """Return a text of `template`: alternatives drawn by `rng`, slots filled from `values`."""
    out: list[str] = []
    _chosen(_parsed(template), rng, out)
    text = _SPACES.sub(" ", "".join(out)).strip()
    return fill(text, values) if values is not None else text
