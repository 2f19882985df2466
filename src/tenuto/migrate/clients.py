"""Calls of the client libraries that `known_clients` has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tenuto.migrate.fields import LIMIT, SNAKE
from tenuto.migrate.known_clients import CLIENTS, JAVASCRIPT
from tenuto.migrate.lexing import arguments, places

_MOST: Final = 4_000


def calls_of_clients(code: str, kind: str) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each call and request of a client library.

    Args:
        code: The file without comments.
        kind: A key of `language_kinds.LANGUAGES`.
    """
    for client in CLIENTS.get(kind, ()):
        if client.word not in code or not client.imported.search(code):
            continue
        for match in places(client.old, code):
            opens = code[match.end() : match.end() + 1] in ("(", "{")
            given = arguments(code, match.end(), _MOST) if opens else ""
            # The field is the finding. In JavaScript, `fields` has none in camel case.
            if SNAKE in given or (kind not in JAVASCRIPT and LIMIT.search(given)):
                continue
            if client.given and not client.given.search(given):
                continue
            if client.without and client.without.search(given):
                continue
            yield match.start(), match.end() + len(given)
