"""Requests whose address is a name of the same file, in languages without a syntax tree."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Final

from tenuto.migrate.lexing import places

# Up to a literal: `const ENDPOINT = "`, `ENDPOINT = URI("`, `@endpoint "`, `URL: &str = "`.
_NAME: Final = re.compile(
    r"(?P<name>@?[A-Za-z_]\w*)(?:\s*:\s*[\w.<>&' ]+)?\s*(?::?=|\s)\s*(?:new\s+)?(?:[\w.]+\(\s*)?"
    r"[$@rf]{0,2}(?:[\"'`][^\"'`\s]*)?\Z"
)
# A name of a variable that any function may have.
_LOCAL: Final = re.compile(r"@?(?:[a-z]+|\w{1,4}|return|const|let|var|val)")
_NO_USE: Final = re.compile(r"^[ \t]*(?:import|export\s*\{|from|package|use)\b")
_FAR_LINES: Final = 8
_MOST: Final = 20
_NEAR: Final = 300


def far_requests(code: str, addresses: Iterable[int], lines: Collection[int]) -> Iterator[int]:
    """Yield the offsets where the name of an address is used, far from other uses of the API.

    Args:
        code: The file without comments.
        addresses: The offsets of the addresses of the endpoint in it.
        lines: The lines of the uses that are known.
    """
    known = set(lines)
    named = islice(addresses, _MOST)
    found = 0
    for name in sorted({name for offset in named if (name := _name(code, offset))}):
        line, counted = 1, 0
        for match in places(re.compile(rf"(?<![\w@]){re.escape(name)}\b(?!\s*(?::?=|:))"), code):
            line, counted = line + code.count("\n", counted, match.start()), match.start()
            start = code.rfind("\n", 0, match.start()) + 1
            if _NO_USE.match(code, start) or any(abs(line - each) <= _FAR_LINES for each in known):
                continue
            known.add(line)
            found += 1
            yield match.start()
            if found >= _MOST:
                return


def _name(code: str, offset: int) -> str | None:
    """Return the name that an address gets, unless it is one that any function may have."""
    start = max(code.rfind("\n", 0, offset) + 1, offset - _NEAR)
    match = _NAME.search(code[start:offset])
    if match is None or _LOCAL.fullmatch(match["name"]):
        return None
    name = match["name"]
    # Another one may be the address of another service.
    given = re.compile(
        rf"(?<![\w@.]){re.escape(name)}\s{{0,9}}(?::\s{{0,9}}[\w.<>&' ]{{1,60}})?(?::?=(?!=))"
    )
    return name if len(list(places(given, code))) <= 1 else None
