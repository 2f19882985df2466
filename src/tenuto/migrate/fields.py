"""Fields of the old API in other languages: names of its own, unlike what programs call alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tenuto.migrate.evidence import fields_beside, is_elsewhere, is_in_its_block, names_vendor
from tenuto.migrate.lexing import places
from tenuto.migrate.shapes import segments

SNAKE: Final = "max_tokens_to_sample"
# Settings of Spring have hyphens.
LIMIT: Final = re.compile(
    r"max_tokens_to_sample|(?<!-)\bmax-tokens-to-sample\b|\b(?:[mM]|(?:with|set)M)axTokensToSample\b"
)
_PROMPT: Final = re.compile(r"\bprompt\b", re.I)
# A statement that gives a variable a value.
_VARIABLE: Final = re.compile(
    r"[ \t]*(?:(?:int|Int32|long|var)\??[ \t]+)?maxTokensToSample\s*=[^=>][^;\n]*;"
)
# In data: a key, or a name alone, but not a word of a sentence.
_KEY: Final = re.compile(r"max_tokens_to_sample(?=\\*[\"'])")
# The value of `name: "…"` is the name of an input of a form.
_NAMED: Final = re.compile(r"\b(?:name|id|label)[\"']?\s*:\s*[\"'`]\Z")
# A test that a body does not have the field.
_DENIED: Final = re.compile(r"![\w.@]+\.(?:include\?|includes|contains\w*|has\w*\??)\(\s*[\"'`]\Z")
# A record of a request with its answer.
_ANSWERED: Final = re.compile(r"(?<!\\)\"completion\"\s*:")
_INPUT: Final = re.compile(r"\b(?:label|type|placeholder|description)[\"']?\s*:")
_SET: Final = re.compile(r"[\"'`]?\s*\??\s*(?:=(?![=>])|:(?!:)|=>)")
_BUILDER: Final = re.compile(r"\bAnthropic\w*(?:Options|Request|Params)\b")
_OPERAND: Final = re.compile(r"(?:[=(+\-<>&|!?]\s*|(?<!:):\s+)\Z")
# Behind a quote, but no text of words: the next key, a body, a command, `POST /v1/complete`.
_NO_WORDS: Final = re.compile(r"\s*(?:curl\b|[\[{,:}\]])|[A-Z]+ \S+\Z")
_QUOTE: Final = re.compile(r"(?<!\\)\"")
_OWN: Final = re.compile(
    r"(?:\bthis|\bself|[Pp]rops|[Ii]nputs|[Vv]alues|[Ff]orm|[Ss]ettings|[Oo]ptions|[Cc]onfig)\??\.\Z"
)
_PATH: Final = re.compile(r"[\"'`]/complete[\"'`]")
_CLIENT: Final = re.compile(
    r"max_tokens_to_sample|anthropic-version|api\.anthropic\.com|\\n\\nHuman:|x-api-key|"
    r"^package anthropic\b|\bAnthropic\\|com\.anthropic\b|anthropic\.com",
    re.MULTILINE,
)
_COMPLETION: Final = re.compile(r"\\*\"completion\\*\"\s*:\s*\\*\"")
_END: Final = re.compile(
    r"\\*\"stop_reason\\*\"\s*:\s*(?:null|\\*\"(?:stop_sequence|max_tokens)\\*\")"
)
_LOG: Final = re.compile(r"\\*\"(?:log_id|stop)\\*\"\s*:")
_NEAR: Final = 2_000


def fields(code: str, path: str, kind: str) -> Iterator[re.Match[str]]:
    """Yield the fields of requests in a file that speaks of the API.

    Args:
        code: The file without comments.
        path: Its name.
        kind: `js`, `java`, `code` for other languages, `settings`, or `data`.
    """
    for match in places(_KEY if kind == "data" else LIMIT, code):
        if "-" in match[0]:
            if kind != "settings":
                continue
        elif match[0] != SNAKE and not _is_of_a_library(code, path, match, kind):
            continue
        if kind in ("js", "java", "code") and _is_read(code, match):
            continue
        if _DENIED.search(code, max(0, match.start() - 60), match.start()):
            continue
        if kind == "data" and any(map(_ANSWERED.search, _of_object(code, match))):
            continue
        named = _NAMED.search(code, max(0, match.start() - 40), match.start())
        if kind == "js" and named and not _is_a_parameter(code, match):
            continue
        if is_elsewhere(code, match.start()) or (kind == "data" and is_prose(code, match.start())):
            continue
        yield match


def _of_object(code: str, match: re.Match[str]) -> list[str]:
    """Return the lines of the object that a key in data belongs to."""
    return [_line(code, match), *fields_beside(code, match.start())]


def _line(code: str, match: re.Match[str]) -> str:
    """Return the line of a place, or what is near in a long one."""
    before = code[max(0, match.start() - _NEAR) : match.start()].rpartition("\n")[2]
    behind = code[match.start() : match.end() + _NEAR].partition("\n")[0]
    return before + behind


def _is_a_parameter(code: str, match: re.Match[str]) -> bool:
    """Return whether a name in a table is a parameter of the vendor, and no input of a form."""
    return not _INPUT.search(_line(code, match)) and is_in_its_block(code, match.start())


def _is_of_a_library(code: str, path: str, match: re.Match[str], kind: str) -> bool:
    """Return whether a name that the API does not have is that of a client library.

    In JavaScript and in settings it is a common name for a setting of one's own.
    """
    if kind in ("js", "settings") or (kind == "java" and not _is_called(code, match)):
        return False
    if _VARIABLE.match(code, code.rfind("\n", 0, match.start()) + 1):
        return False
    if SNAKE in code or _is_beside_prompt(code, match, lines=3):
        return True
    if any(_PROMPT.search(each) for each in fields_beside(code, match.start())):
        return True
    if kind == "java":
        return _BUILDER.search(code, *_statement(code, match)) is not None
    # The name that a field of a type has, in Go for one.
    is_a_field = match[0].startswith("Max") and names_vendor("", path)
    return is_a_field or is_in_its_block(code, match.start())


def _statement(code: str, match: re.Match[str]) -> tuple[int, int]:
    """Return the part of a statement before a place, in a language with semicolons."""
    start = max(code.rfind(sign, 0, match.start()) for sign in ";{}")
    return max(start + 1, match.start() - _NEAR), match.start()


def _is_beside_prompt(code: str, match: re.Match[str], lines: int = 2) -> bool:
    """Return whether one of some lines before or behind has the other field of a request."""
    before = code[: match.start()].rsplit("\n", lines + 1)[1:]
    behind = code[match.end() :].split("\n", lines + 1)[: lines + 1]
    return any(_PROMPT.search(line) for line in (*before, *behind))


def _is_called(code: str, match: re.Match[str]) -> bool:
    return code.startswith(".", match.start() - 1) and code.startswith("(", match.end())


def _is_read(code: str, match: re.Match[str]) -> bool:
    """Return whether a place only reads a variable or an attribute of this name."""
    if _SET.match(code, match.end()) or _is_called(code, match):
        return False
    before = code[max(0, match.start() - 40) : match.start()]
    if before.endswith(".") and match[0] == SNAKE:
        # The field of a request that is looked at, such as `body.max_tokens_to_sample`.
        return _OWN.search(before) is not None
    return before.endswith(".") or _OPERAND.search(before) is not None


def is_prose(code: str, offset: int) -> bool:
    """Return whether a place in data is in a text of words, such as a page of documentation."""
    start = max(code.rfind("\n", 0, offset) + 1, offset - 2 * _NEAR)
    *_, text = _QUOTE.split(code[start:offset].rstrip("\\"))
    quoted = len(text) < offset - start or start == offset - 2 * _NEAR
    return quoted and re.search(r"\s", text) is not None and not _NO_WORDS.match(text)


def paths(code: str, path: str) -> Iterator[int]:
    """Yield the offsets of `"/complete"` in a client of the API, whose address is elsewhere."""
    if names_vendor(code, path) and _CLIENT.search(code):
        for match in places(_PATH, code):
            yield match.start()
        yield from segments(code)


def responses(code: str) -> Iterator[int]:
    """Yield the offsets of recorded responses without a type, in data."""
    for match in places(_COMPLETION, code):
        near = code[max(0, match.start() - _NEAR) : match.end() + _NEAR]
        if _END.search(near) and _LOG.search(near) and not is_prose(code, match.start()):
            yield match.start()
