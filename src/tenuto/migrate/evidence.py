"""Evidence that a name of the old API means this API: of its file, and of the blocks around it.

Names such as `max_tokens_to_sample` are also fields of other programs, and gateways have one for
all vendors. A block is what is indented more than the line above it, whatever the language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

_VENDOR: Final = re.compile(r"anthropic|claude", re.I)
_ABOUT: Final = re.compile(r"anthropic|claude|bedrock", re.I)
MARKS: Final = re.compile(
    r"(?:(?<!\\)\\+n|\n[ \t]*)(?:\\+n|\n[ \t]*)Human:|Human:.{0,400}Assistant:|"
    r"\b(?:HUMAN|AI)_PROMPT\b|anthropic-version"
)
"""The marks of a turn, and other things that this API alone has."""
OLD_ON_BEDROCK: Final = r"anthropic\.claude-(?:v[12]\b|instant)"
"""The pattern of the names of old models on Bedrock."""
_HOST: Final = re.compile(r"https?://([^/\s\"'`]+)[^\s\"'`]*\Z")
# The path of a server's own endpoint.
_PREFIX: Final = re.compile(r"[\"'`]/api/\Z")
# The limit of other services with an endpoint of this name, in a body.
_OTHER_LIMIT: Final = re.compile(r"\bmax_tokens\\*[\"']?\s*[:=]")
_LOCAL: Final = re.compile(
    r"localhost|127\.|0\.0\.0\.0|\[|[^.:]+(?::|\Z)|.*[{}$<>]|.*\.(?:local|internal)\b"
)
_TEXT: Final = re.compile(r"\"[^\"\n]{,60}\"|'[^'\n]{,60}'|`[^`\n]{,60}`")
_NAME: Final = re.compile(r"\"[^\"\s]*\"|'[^'\s]*'|`[^`\s]*`")
_BEDROCK_OTHERS: Final = re.compile(
    r"cohere|\bai21|jurassic|\bj2-|titan(?!ic)|llama(?!_?-?index)|mistral", re.I
)
_OF_OTHERS: Final = (
    rf"{_BEDROCK_OTHERS.pattern}|openai|\bgpt-?\d|gemini|\bpalm\b|deepseek|huggingface"
)
_OTHERS: Final = re.compile(rf"{_OF_OTHERS}|replicate|^.amazon.$|\bmeta\b", re.I)
# Blocks that are named after another vendor. Functions named after OpenAI often convert requests.
_NAMED: Final = re.compile(
    r"\b(?:class|struct|interface|module|describe|context|def|func|function|fn)\b[^(=]*?"
    r"(?:[Cc]ohere|[Aa][Ii]21|[Jj]urassic|[Tt]itan|[Ll]lama(?!_?[Ii]ndex)|[Mm]istral|[Gg]emini|"
    r"[Pp]a[Ll][Mm]\b|[Dd]eep[Ss]eek)|"
    r"^[^=.]*\b\w*(?:Cohere|AI21|Ai21|Jurassic|Titan|Llama|Mistral|Gemini)\w*\s*\([^;]*\{\s*\Z|"
    r"(?:Cohere|AI21|Ai21|Jurassic|Titan|Llama|Mistral|Gemini|Replicate)\w*\s*\(?\{\s*\Z|"
    r"^\s*(?:public|private|protected|internal|static)\b[^=;]*"
    r"(?:Cohere|AI21|Ai21|Jurassic|Titan|Llama|Mistral|Gemini)[^=;]*\)\s*\Z|"
    r"(?:[Cc]ohere|[Aa][Ii]21|[Jj]urassic|[Mm]istral|[Gg]emini|[Gg]oogle|\b[Pp]a[Ll][Mm])\w*\.\w+\(\s*\Z"
)
# `model: cohere.command-text-v14` in settings.
_VALUE: Final = re.compile(r"\b(?:name|model\w*|provider|engine|id)\s*:\s*[\w.:/-]+\s*\Z")
_CHAT: Final = re.compile(
    r"\b[Mm]essages?\w*(?:Request|Params)\b|\b[Mm]essages\.(?:create|stream)\b"
)
_MESSAGES: Final = re.compile(r"[\"'`:]?[Mm]essages\b|.*[\"']messages[\"'] *[,`\])]")
_PROMPT: Final = re.compile(r"[\"'`:]?[Pp]rompt\b|.*[\"']prompt[\"'] *[,`\])]")
# Fields of the site claude.ai.
_SITE: Final = re.compile(r"(?:pub )?[\"'`:]?(?:attachments|parent_message_uuid|rendering_mode)\b")
_ELEMENT: Final = re.compile(r"[\"'`]?:?[\w.-]+[\"'`]?\??\s*(?::(?!=)|=>|=(?!=))")
_COLON: Final = re.compile(r"[\"'`]?[\w.-]+[\"'`]?\??\s*:(?![:=])")
# An argument on a line of its own.
_LITERAL: Final = re.compile(r"\"[^\"]*\",?|'[^']*',?")
_OPEN: Final = re.compile(r"[(\[{]\s*\Z")
_TYPE: Final = re.compile(r"\b(?:struct|class|interface|record|message)\b")
# Models that make no texts.
_EMBEDDINGS: Final = re.compile(
    r"titan[\w .:/-]{0,20}embed\w*|cohere\.embed[\w.-]*|TitanEmbed\w*|CohereEmbed\w*|llama_?index",
    re.I,
)
# Also those with open models, whose prompts often have the same marks.
_MODELS: Final = re.compile(
    rf"{_OF_OTHERS}|\btransformers\b|\bimport together\b|together_?ai|vicuna|falcon|\brlhf\b|"
    r"\breward|tokenizer\.",
    re.I,
)
_NEAR_LINES: Final = 3
_FAR: Final = 600
_MOST_LINES: Final = 400
# Of a line, as in minified sources, this much around a place is looked at.
_NEAR: Final = 2_000


def is_about(code: str, path: str) -> bool:
    """Return whether a file, or its path, speaks of this API or its vendor.

    The marks of a turn alone may be those of an open model that is named.
    """
    return _speaks(code) or _VENDOR.search(path) is not None


def names_vendor(code: str, path: str = "") -> bool:
    """Return whether a text, or the path of its file, has the name of the vendor or its models."""
    return (_VENDOR.search(code) or _VENDOR.search(path)) is not None


def names_others(code: str) -> bool:
    """Return whether a file names other vendors of Bedrock whose models write texts."""
    return _is_of_several(code, _BEDROCK_OTHERS)


def names_other_models(code: str) -> bool:
    """Return whether a file names other vendors or open models, whose texts may be alike."""
    return _is_of_several(code, _MODELS)


def is_endpoint(code: str, offset: int) -> bool:
    """Return whether an address in a file that speaks of the API is that of its endpoint.

    One of a host is if the address, or a block around it, has the vendor's name.
    """
    if _OTHER_LIMIT.search(code, offset, offset + _FAR) and not _has_limit(code):
        return False
    before = code[max(0, offset - 200) : offset]
    if _PREFIX.search(before) and not _names_vendor(code, offset):
        return False
    host = _HOST.search(before)
    if host is None or _LOCAL.match(host[1]) or _VENDOR.search(host[0]):
        return not is_elsewhere(code, offset)
    return _names_vendor(code, offset)


def _names_vendor(code: str, offset: int) -> bool:
    start, _, line = _line(code, offset)
    headers = _headers(list(_above(code, start)), _indent(line))
    return any(_VENDOR.search(each) for each in (line, *headers))


@lru_cache(maxsize=1)
def _has_limit(code: str) -> bool:
    return "max_tokens_to_sample" in code


@lru_cache(maxsize=4)
def _speaks(code: str) -> bool:
    if _ABOUT.search(code):
        return True
    return MARKS.search(code) is not None and not names_other_models(code)


def is_elsewhere(code: str, offset: int) -> bool:
    """Return whether the blocks around a place name another vendor, or the Messages API.

    The innermost one that names a vendor decides. In an object, its other fields come first.
    """
    start, end, line = _line(code, offset)
    if _is_ours(line):
        return False
    lines = list(_above(code, start))
    if _is_of_others(line, headers=False):
        return True
    indent = _indent(line)
    headers = list(_headers(lines, indent))
    if headers and _is_of_object(headers[0], line.strip()):
        fields = _fields(code, lines, end, indent)
        if any(_SITE.match(each) for each in fields):
            return True
        chat = any(_MESSAGES.match(each) for each in fields)
        if chat and not any(_PROMPT.match(each) for each in fields):
            return True
        if any(_is_ours(each) for each in fields):
            return False
        if any(_is_of_others(each, headers=False) for each in fields):
            return True
    for header in headers:
        if _CHAT.search(header):
            return True
        if _is_ours(header):
            return False
        if _is_of_others(header, headers=True):
            return True
    return False


def _is_ours(line: str) -> bool:
    return (_VENDOR.search(line) or MARKS.search(line)) is not None


def is_of_another(texts: Sequence[str]) -> bool:
    """Return whether texts name another vendor's model, and none of this one."""
    if any(_VENDOR.search(text) for text in texts):
        return False
    return any(_OTHERS.search(text) for text in texts if not re.search(r"\s", text))


def _is_of_object(header: str, line: str) -> bool:
    """Return whether the lines of a block are the fields of an object or of a type."""
    if _TYPE.search(header):
        return True
    if _OPEN.search(header):
        return _ELEMENT.match(line) is not None
    return header.rstrip().endswith(":") and _COLON.match(line) is not None


def _is_of_others(line: str, *, headers: bool) -> bool:
    """Return whether a text in a line, or the name of a block, is that of another vendor."""
    texts = (_TEXT if headers else _NAME).finditer(line)
    if any(_OTHERS.search(text[0]) for text in (*texts, *_VALUE.finditer(line))):
        return True
    return headers and _NAMED.search(line[:300]) is not None


def _line(code: str, offset: int) -> tuple[int, int, str]:
    """Return the start and the end of a line, and what is near a place in it."""
    start = code.rfind("\n", 0, offset) + 1
    end = code.find("\n", offset)
    last = end if end >= 0 else len(code)
    return start, end, code[max(start, offset - _NEAR) : min(last, offset + _NEAR)]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _above(code: str, start: int) -> Iterator[str]:
    """Yield the lines above an offset, from the nearest on."""
    for _ in range(_MOST_LINES):
        if start <= 0:
            return
        before = code.rfind("\n", 0, start - 1) + 1
        yield code[before : min(start - 1, before + _NEAR)]
        start = before


def _headers(lines: list[str], indent: int) -> Iterator[str]:
    """Yield the lines that begin the blocks around a line, from the innermost on."""
    closed = False
    for line in lines:
        if not line.strip():
            continue
        if _indent(line) < indent or (closed and _indent(line) == indent):
            indent = _indent(line)
            # `) => {` ends what a line of the same indentation begins, and `{` alone belongs to it.
            closed = line.lstrip()[0] in ")]}" or line.strip() == "{"
            yield line
            if not indent and not closed:
                return
        elif _indent(line) == indent and _LITERAL.fullmatch(line.strip()):
            yield line


def fields_beside(code: str, offset: int) -> list[str]:
    """Return the lines of the object or the type that a line belongs to, or none."""
    start, end, line = _line(code, offset)
    lines = list(_above(code, start))
    header = next(_headers(lines, _indent(line)), None)
    if header is None or not _is_of_object(header, line.strip()):
        return []
    return _fields(code, lines, end, _indent(line))


def is_in_its_block(code: str, offset: int) -> bool:
    """Return whether the innermost block that names a vendor names this one."""
    return _is_named(code, offset) is True


def _is_named(code: str, offset: int, *, from_openai: bool = False) -> bool | None:
    """Return whether the innermost block that names a vendor names this one, or None.

    With `from_openai`, one that names OpenAI converts its requests.
    """
    start, _, line = _line(code, offset)
    indent = _indent(line)
    for header in _headers(list(_above(code, start)), indent):
        if _is_ours(header):
            return True
        openai = re.search("openai", header, re.I) is not None
        if (openai and not from_openai) or (not openai and _is_of_others(header, headers=True)):
            return False
    return None


# A file is asked once for each of its prompts.
@lru_cache(maxsize=2)
def _is_of_several(code: str, others: re.Pattern[str]) -> bool:
    """Return whether a file names other vendors' models that write texts."""
    return others.search(_EMBEDDINGS.sub("", code)) is not None


def is_prompt_of_it(
    code: str, offset: int, end: int, path: str, *, exact: bool, alone: bool = False
) -> bool:
    """Return whether a prompt is meant for this API.

    Where a file names other vendors of Bedrock, a block or a line near by must have the vendor's
    name, or the prompt both marks, and no block around it another one's.

    Args:
        code: The file.
        offset: The beginning of the prompt.
        end: Its end.
        path: The name of the file: one of this vendor may convert requests for OpenAI.
        exact: Whether it has both marks as the API wants them.
        alone: Whether the file has no use of the API: then any other vendor counts.
    """
    named = _is_named(code, offset, from_openai=not alone and names_vendor("", path))
    others = _MODELS if alone else _BEDROCK_OTHERS
    if named is not None or not _is_of_several(code, others):
        return named is not False
    near = _near(code, offset, end)
    if any(_VENDOR.search(line) for line in near):
        return True
    return exact and not alone and not any(_BEDROCK_OTHERS.search(line) for line in near)


def is_beside_its_name(code: str, offset: int, end: int, path: str) -> bool:
    """Return whether the path, a block around a place or a line near by has the vendor's name."""
    return (
        _VENDOR.search(path) is not None
        or is_in_its_block(code, offset)
        or any(_VENDOR.search(line) for line in _near(code, offset, end))
    )


def _near(code: str, offset: int, end: int) -> list[str]:
    """Return some lines before and behind a span, with its first one."""
    lines = _NEAR_LINES + 1
    before = code[max(0, offset - lines * _NEAR) : offset].split("\n")[-lines:]
    return [*before, *code[end : end + _NEAR].split("\n", lines)[:lines]]


def _fields(code: str, lines: list[str], end: int, indent: int) -> list[str]:
    """Return the lines of an object that begin where a line of it begins."""
    found = []
    for line in lines:
        if line.strip() and _indent(line) < indent:
            break
        if _indent(line) == indent:
            found.append(line.strip())
    below = code[end : end + 20 * _NEAR].split("\n", _MOST_LINES)[1:] if end >= 0 else []
    for line in below:
        if line.strip() and _indent(line) < indent:
            break
        if _indent(line) == indent:
            found.append(line.strip())
    return found
