"""The old API in other languages by more than a name: types of responses, constants, paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tenuto.migrate.evidence import is_elsewhere, is_in_its_block, names_vendor
from tenuto.migrate.lexing import places

_FIELD: Final = re.compile(
    r"json:\"completion\b|\bJson\w*\(\s*(?:Name\s*=\s*)?\"completion\"\s*\)|"
    r"[\"']completion[\"']\s*=>|"
    r"\b(?:val|var|let|pub)\s+completion\s*:\s*(?:Option<)?(?:String|JsonField)\b|"
    r"\bstring\s+\$completion\b|\brequired :completion, String\b|\bString completion;|"
    r"\bstring\s+completion\s*=\s*\d+;|"
    r"^[ \t]*(?:readonly\s+)?completion\??\s*:\s*(?:string|(?:Option<\s*)?String|z\.string)\b|"
    # In one line, or in C#: variables and parameters are declared in the same way.
    r"[{;(,]\s*(?:readonly\s+|val\s+)?completion\??\s*:\s*[sS]tring\b"
    r"(?=[^(){}\n]{0,200}\bstop_?[rR]eason\b)|"
    r"\bstring\??\s+completion\s*;(?=[^(){}]{0,200}\bstop_reason\b)|"
    r"\bstring\??\s+Completion\s*\{\s*get\b|"
    r"\bString\s+completion\s*,(?=[^{}\n]{0,200}\bstop_?[rR]eason\b)|"
    # In a description of an API.
    r"^[ \t]*completion\s*:\s*(?:\{\s*|\n\s+)type\s*:\s*[\"']?string\b"
    r"(?=.{0,300}\bstop_reason\b)",
    re.MULTILINE | re.DOTALL,
)
# The site claude.ai, whose events look like old responses.
_SITE: Final = re.compile(r"claude\.ai|chat_conversations")
_READ: Final = re.compile(r"(?<![\w.])(?P<name>[A-Za-z_]\w*)\s*[?!]?\.\s*completion\b(?!\s*\()")
# The beginning of a function or another statement that is in no other one.
_TOP: Final = re.compile(r"^[^\s)\]}]", re.MULTILINE)
# The names of fields in JavaScript are those on the wire.
_REASON: Final = re.compile(r"stop_reason")
_CAMEL: Final = re.compile(r"stop_?reason", re.IGNORECASE)
# Of the Messages API, of others, and of the site claude.ai, whose events look like old responses.
_NEWER: Final = re.compile(
    r"\bcontent[\"']?\s*(?::|=>|\[)|\binput_tokens\b|\bchoices\b|\b[mM]essage_?[lL]imit|"
    r"\bpricing\b|\bprompt_?tokens\b"
)
_CONSTANT: Final = re.compile(r"\b(?:HUMAN_PROMPT|AI_PROMPT)\b")
_MARK: Final = re.compile(
    r"\\n\\nHuman:|\b(?:anthropic|Anthropic)\b[\s\S]{0,200}\b(?:HUMAN|AI)_PROMPT\b"
)
_WORD: Final = re.compile(r"[\"'`]complete[\"'`]")
_SEGMENTS: Final = re.compile(r"[\"']v1[\"']\s*,\s*[\"']complete[\"']")
_PLACE: Final = re.compile(
    r"endpoint|path|\burls?\b|\buri\b|\bPOST\b|request_?type|api_?type|Payload::create",
    re.IGNORECASE,
)
_NEAR: Final = 700
_FAR: Final = 3_000
_OUTER: Final = re.compile(r"^[)\]}\w]", re.MULTILINE)
_BLANK: Final = re.compile(r"^[ \t]+\n", re.MULTILINE)


def response_types(code: str, kind: str, *, alone: bool = False) -> Iterator[int]:
    """Yield the offsets of types and values with the fields of an old response.

    Args:
        code: The file without comments.
        kind: As in `fields`.
        alone: Whether a response may have its text alone, as in a file with the request.
    """
    if "ompletion" not in code:
        return
    end = _REASON if kind == "js" else _CAMEL
    reason = None if alone or "max_tokens_to_sample" in code else end
    last = -_NEAR
    for match in places(_FIELD, code):
        needed = reason
        if match.start() - last < _NEAR // 4:
            # Another type may be below the first one.
            needed = end
            if "}" not in code[last : match.start()]:
                continue
        if not is_answer(code, match, needed):
            continue
        if alone and kind == "js" and not is_in_its_block(code, match.start()):
            continue
        if not is_elsewhere(code, match.start()):
            last = match.start()
            yield match.start()


def responses_read(code: str, path: str) -> Iterator[int]:
    """Yield the offsets where a gateway turns an old response into another one.

    One variable has both the text of the answer and a field that tells how it ended. Each function
    counts once.
    """
    if _SITE.search(code):
        return
    named = names_vendor("", path)
    last = -1
    for match in places(_READ, code):
        if last >= 0 and not _TOP.search(code, last, match.start()):
            continue
        if not re.search(
            rf"(?<![\w.]){match['name']}\s*[?!]?\.\s*(?:stop_reason|log_id)\b",
            code[max(0, match.start() - _NEAR) : match.end() + _NEAR],
        ):
            continue
        if named or is_in_its_block(code, match.start()):
            last = match.start()
            yield match.start()


def is_answer(code: str, match: re.Match[str], reason: re.Pattern[str] | None = _REASON) -> bool:
    """Return whether the block of a field has the other field of an old answer, and none newer.

    Args:
        code: The file without comments.
        match: The place of the field `completion`.
        reason: The pattern of the other field; None if there need be none.
    """
    # Comments, which are blanks, do not count for the distance.
    before = _BLANK.sub("", code[max(0, match.start() - _FAR) : match.start()])[-_NEAR:]
    behind = _BLANK.sub("", code[match.start() : match.end() + _FAR])[: len(match[0]) + _NEAR]
    block = _block(before + behind, len(before))
    return not _NEWER.search(block) and (reason is None or reason.search(block) is not None)


def _block(text: str, offset: int) -> str:
    """Return the lines around an offset up to those without an indentation."""
    before, behind = text[:offset], text[offset:]
    start = max((m.start() for m in re.finditer(r"^[^\s)\]}]", before, re.M)), default=0)
    # The field itself may begin the text behind.
    end = _OUTER.search(behind, 1)
    return before[start:] + (behind[: end.start()] if end else behind)


def constants(code: str) -> Iterator[int]:
    """Yield the offsets of the constants for turns, in a file that has the marks themselves."""
    if _MARK.search(code):
        for match in places(_CONSTANT, code):
            yield match.start()


def segments(code: str) -> Iterator[int]:
    """Yield the offsets of the last part of the path where a text names an endpoint by it."""
    for match in places(_SEGMENTS, code):
        yield match.start()
    shared = re.search("openai", code, re.IGNORECASE) is not None
    for match in places(_WORD, code):
        if shared and not is_in_its_block(code, match.start()):
            continue
        start = code.rfind("\n", 0, max(0, code.rfind("\n", 0, match.start()))) + 1
        # A function such as `endpoint() { return 'complete'; }` has its name lines above.
        if not re.match(r"\s*return\b", code[code.rfind("\n", 0, match.start()) + 1 :]):
            start = code.rfind("\n", 0, match.start()) + 1
        else:
            start = code.rfind("\n", 0, max(0, start - 1)) + 1
        end = code.find("\n", match.end())
        end = end if end >= 0 else len(code)
        line = code[max(start, match.start() - _NEAR) : min(end, match.end() + _NEAR)]
        if _PLACE.search(line.replace(match[0], "")):
            yield match.start()
