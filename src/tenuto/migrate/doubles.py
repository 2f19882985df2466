"""Old responses that a source makes itself: in tests, fixtures and recordings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tenuto.migrate.evidence import (
    fields_beside,
    is_elsewhere,
    is_in_its_block,
    names_vendor,
)
from tenuto.migrate.lexing import places
from tenuto.migrate.shapes import is_answer

# The key with a text as its value, also in a JSON text in a string. Prices are numbers.
_VALUE: Final = re.compile(
    r"(?<![\w.$@-])completion(?:\\*[\"'])?\s*(?::|=>)\s*\\*[\"'`](?!\s*\||-?[\d.]+\\*[\"'`])"
)
_TEXT: Final = re.compile(r"\{\s*\\*\"completion\\*\"\s*:\s*\\*\"(?!-?[\d.]+\\*\")")
# The key with a variable as its value, beside fields that only these answers have.
_MADE: Final = re.compile(r"(?<![\w.$@-])completion\s*(?::|=>)\s*(?=[A-Za-z_$])")
# In Go.
_FIELD: Final = re.compile(r"\bCompletion:\s*[\"`]")
_END: Final = re.compile(
    r"\bstop_reason\\*[\"']?\s*(?::|=>)\s*\\*[\"'`](?:stop_sequence|max_tokens)\b"
)
"""The end of an answer of this vendor."""
_NEAR: Final = 300
_OWN: Final = re.compile(r"\b(?:log_id|truncated)[\"']?\s*(?::|=>)")
_FOLDERS: Final = re.compile(
    r"(?:^|[/\\])(?:__)?(?:tests?|specs?|mocks?|fakes?|stubs?|fixtures?|testdata|test_data|"
    r"cassettes?|integ-?tests?|unit-?tests?|e2e)(?:__)?[/\\]",
    re.IGNORECASE,
)
_NAMES: Final = re.compile(
    r"(?:^|[/\\_.-])(?:tests?|specs?|mocks?|mocked|fakes?|stubs?|fixtures?|conftest)[_.-][^/\\]*\Z|"
    r"(?:Tests?|Specs?|Mock|IT)\.\w+\Z|\.bats\Z"
)


def is_test(path: str) -> bool:
    """Return whether a file is a test, or what tests use, by its folders or its name."""
    return (_FOLDERS.search(path) or _NAMES.search(path)) is not None


def answers(code: str, path: str) -> Iterator[int]:
    """Yield the offsets of answers with their texts.

    Those in a file without the vendor's name are in tests, and have an end as this vendor's.

    Args:
        code: The file without comments.
        path: Its name: in a test, JSON with the text alone is one, too.
    """
    named = names_vendor(code, path)
    if "ompletion" not in code or not (named or is_test(path)):
        return
    last = -1
    for match in places(_VALUE, code):
        line = code.rfind("\n", 0, match.start())
        if line == last or not is_answer(code, match) or is_elsewhere(code, match.start()):
            continue
        if named or _END.search(code, max(0, match.start() - _NEAR), match.end() + _NEAR):
            last = line
            yield match.start()
    if not named:
        return
    for match in places(_MADE, code):
        line = code.rfind("\n", 0, match.start())
        if line == last:
            continue
        beside = "\n".join(fields_beside(code, match.start()))
        if "stop_reason" in beside and _OWN.search(beside):
            last = line
            yield match.start()
    if is_test(path):
        for match in places(_FIELD, code):
            beside = "\n".join(fields_beside(code, match.start()))
            if "StopReason" in beside or is_in_its_block(code, match.start()):
                yield match.start()
        for match in places(_TEXT, code):
            if not is_elsewhere(code, match.start()):
                yield match.start()
