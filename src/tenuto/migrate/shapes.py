"""The old API in other languages by more than a name: types of responses, constants, paths."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from tenuto.migrate.evidence import is_elsewhere, is_in_its_block, names_vendor
from tenuto.migrate.lexing import places

_FIELD: Final = re.compile(
    r"json:\"completion\b|\bJson\w*\(\s*(?:Name\s*=\s*)?\"completion\"\s*\)|"
    r"[\"']completion[\"']\s*=>|"
    r"\b(?:val|var|let|pub)\s+completion\s*:\s*(?:Option<)?(?:String|JsonField)\b|"
    r"\bstring\s+\$completion\b|\brequired :completion, String\b|\bString completion;|"
    r"\bstring\s+completion\s*=\s*\d+;|"
    r"^[ \t]*(?:readonly\s+)?completion\??\s*:\s*(?:string|String|z\.string)\b",
    re.MULTILINE,
)
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
    r"\\n\\nHuman:|\b(?:anthropic|Anthropic)\b.{0,200}\b(?:HUMAN|AI)_PROMPT\b"
)
_WORD: Final = re.compile(r"[\"'`]complete[\"'`]")
_SEGMENTS: Final = re.compile(r"[\"']v1[\"']\s*,\s*[\"']complete[\"']")
_PLACE: Final = re.compile(
    r"endpoint|path|\burls?\b|\buri\b|\bPOST\b|request_?type|api_?type|Payload::create",
    re.IGNORECASE,
)
_INVOKE: Final = re.compile(
    r"\bInvokeModel(?:WithResponseStream)?(?:Command|Request|Input|Async)?(?=\s*[({]|\.builder)|"
    r"\binvoke_?[mM]odel\w*(?=\s*\()"
)
_OLD_BEDROCK: Final = re.compile(r"anthropic\.claude-(?:v[12]\b|instant)")
_OLD_ON_BEDROCK: Final = re.compile(
    r"\bmodel/anthropic\.claude-(?:v[12]\b|instant)[\w.:%-]{0,20}/invoke\b|"
    r"\binvoke-model(?:-with-response-stream)?\b(?=(?:[^\n]|\\\n|`\n){0,300}?"
    r"anthropic\.claude-(?:v[12]\b|instant))"
)
"""The path of an old model on Bedrock, or the command for one."""
_NEW_BODY: Final = re.compile(
    r"\bmessages\b|anthropic_version|bedrock-2023-05-31|\bcontent\b[\"']?:"
)
_READ: Final = re.compile(r"\.completion\b|[\"']completion[\"']")
_NEW_BEDROCK: Final = re.compile(r"claude-(?:3|[a-z]+-\d)|\bmessages\b|\bcontent_block")
_FAR_LINES: Final = 15
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
    if "completion" not in code:
        return
    reason = None
    if not alone and "max_tokens_to_sample" not in code:
        reason = _REASON if kind == "js" else _CAMEL
    last = -_NEAR
    for match in places(_FIELD, code):
        if match.start() - last < _NEAR // 4 or not is_answer(code, match, reason):
            continue
        if alone and kind == "js" and not is_in_its_block(code, match.start()):
            continue
        if not is_elsewhere(code, match.start()):
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


def bedrock_call(code: str) -> int | None:
    """Return the offset of a call of an old model on Bedrock whose old answer is read, or None.

    Its body is made elsewhere, or put together: of the models there, only the old ones of this
    vendor have `completion` in their answers.
    """
    if not (_OLD_BEDROCK.search(code) and _READ.search(code) and "prompt" in code):
        return None
    if _NEW_BEDROCK.search(code):
        return None
    call = _INVOKE.search(code)
    return call.start() if call else None


def bedrock_requests(code: str) -> Iterator[int]:
    """Yield the offsets of requests to old models on Bedrock, which also take messages now."""
    for match in places(_OLD_ON_BEDROCK, code):
        near = code[max(0, match.start() - _FAR) : match.end() + _FAR]
        if "prompt" in near and not _NEW_BODY.search(near):
            yield match.start()


def far_bedrock_calls(code: str, path: str, lines: Collection[int]) -> Iterator[int]:
    """Yield the offsets of calls on Bedrock far from the bodies that they send.

    Args:
        code: The file without comments, which has a use.
        path: Its name. It, or the block of a call, has the vendor's name.
        lines: The lines of the uses.
    """
    if _NEW_BEDROCK.search(code):
        return
    for match in places(_INVOKE, code):
        line = code.count("\n", 0, match.start()) + 1
        if any(abs(line - each) <= _FAR_LINES for each in lines):
            continue
        if is_in_its_block(code, match.start()) or names_vendor("", path):
            yield match.start()


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
