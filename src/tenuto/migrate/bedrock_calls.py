"""Calls of old models on Bedrock whose bodies are elsewhere, in languages without a syntax tree."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from tenuto.migrate.evidence import (
    OLD_ON_BEDROCK,
    is_elsewhere,
    is_in_its_block,
    names_others,
    names_vendor,
)
from tenuto.migrate.lexing import places

_INVOKE: Final = re.compile(
    r"\b(?:Bedrock)?InvokeModel(?:WithResponseStream)?(?:Command|Request|Input|Async)?(?=\s*[({]|\.builder)|"
    r"\binvoke_?[mM]odel\w*(?=\s*\()"
)
_OLD_BEDROCK: Final = re.compile(OLD_ON_BEDROCK)
_REQUEST: Final = re.compile(
    rf"\bmodel/{OLD_ON_BEDROCK}[\w.:%-]{{0,20}}/invoke\b|"
    r"\binvoke-model(?:-with-response-stream)?\b(?=(?:[^\n]|\\\n|`\n){0,300}?"
    rf"{OLD_ON_BEDROCK})"
)
"""The path of an old model on Bedrock, or the command for one."""
_NEW_BODY: Final = re.compile(
    r"\bmessages\b|anthropic_version|bedrock-2023-05-31|\bcontent\b[\"']?:"
)
_READ: Final = re.compile(r"\.[cC]ompletion\b(?!\s*\()|[\"']completion[\"']")
_NEW_BEDROCK: Final = re.compile(r"claude-(?:3|[a-z]+-\d)|\bmessages\b|\bcontent_block")
FAR_LINES: Final = 15
"""Lines from a body to its call beyond which the call is reported, too."""
_EMBEDDINGS: Final = re.compile(r"embed|inputText", re.IGNORECASE)
_BESIDE: Final = 400
_NEAR: Final = 3_000


def bedrock_call(code: str) -> int | None:
    """Return the offset of a call of an old model on Bedrock whose old answer is read, or None.

    Its body is made elsewhere, or put together: of the models there, only the old ones of this
    vendor have `completion` in their answers.
    """
    if not (_READ.search(code) and "prompt" in code) or _NEW_BEDROCK.search(code):
        return None
    old = _OLD_BEDROCK.search(code) is not None
    calls = (call.start() for call in places(_INVOKE, code))
    return next((call for call in calls if old or is_in_its_block(code, call)), None)


def pending_bedrock_calls(code: str) -> Iterator[int]:
    """Yield the offsets of calls on Bedrock of old models, or whose old answer is read.

    Their bodies are made in other files: they count if the project makes old ones.
    """
    if (_READ.search(code) or _OLD_BEDROCK.search(code)) and not _NEW_BEDROCK.search(code):
        for match in places(_INVOKE, code):
            if not (is_elsewhere(code, match.start()) or _is_of_embeddings(code, match)):
                yield match.start()


def _is_of_embeddings(code: str, match: re.Match[str]) -> bool:
    """Return whether a call is one of a model of embeddings, by what is near it."""
    near = code[max(0, match.start() - _BESIDE) : match.end() + _BESIDE]
    return _EMBEDDINGS.search(near) is not None


def bedrock_requests(code: str) -> Iterator[int]:
    """Yield the offsets of requests to old models on Bedrock, which also take messages now."""
    for match in places(_REQUEST, code):
        near = code[max(0, match.start() - _NEAR) : match.end() + _NEAR]
        if "prompt" in near and not _NEW_BODY.search(near):
            yield match.start()


def far_bedrock_calls(code: str, path: str, lines: Collection[int]) -> Iterator[int]:
    """Yield the offsets of calls on Bedrock far from the bodies that they send.

    Args:
        code: The file without comments, which has a use.
        path: Its name. It, or the block of a call, has the vendor's name, or the file has an old
            model and no others.
        lines: The lines of the uses.
    """
    if _NEW_BEDROCK.search(code):
        return
    named = _OLD_BEDROCK.search(code) is not None and not names_others(code)
    for match in places(_INVOKE, code):
        line = code.count("\n", 0, match.start()) + 1
        if any(abs(line - each) <= FAR_LINES for each in lines):
            continue
        if _is_of_embeddings(code, match):
            continue
        if is_in_its_block(code, match.start()) or named or names_vendor("", path):
            yield match.start()
