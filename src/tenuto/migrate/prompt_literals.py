"""Prompts of the old API in the literals of languages without a syntax tree, and of settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from tenuto.migrate import turns
from tenuto.migrate.evidence import is_beside_its_name, is_prompt_of_it
from tenuto.migrate.lexing import MOST_PLACES

_DOUBLE: Final = r'"(?:\\.|[^"\\\n])*"'
_SINGLE: Final = r"'(?:\\.|[^'\\\n])*'"
_LONG: Final = r'"(?:\\.|[^"\\])*"'
_LONG_SINGLE: Final = r"'(?:\\.|[^'\\])*'"
_TRIPLE: Final = r'""".*?(?:"""|\Z)'
_VERBATIM: Final = r'(?:@\$?|\$@)"(?:""|[^"])*"'
# Of at most 100 lines, so that each `<<` that begins none costs as much.
_HEREDOC: Final = (
    r"<<[-~<]?[ \t]?[\"']?(?P<end>[A-Za-z_]\w*)[\"']?[^\n]*\n(?:[^\n]*\n){0,100}?[ \t]*(?P=end)\b"
)
_HEREDOC_HEAD: Final = re.compile(r"\A<<[-~<]?[ \t]?[\"']?\w+[\"']?[^\n]*")
_LITERALS: Final = {
    "c": (_TRIPLE, _VERBATIM, _DOUBLE, _SINGLE),
    "rs": (r'r#".*?(?:"#|\Z)', _LONG, r"'(?:\\.|[^'\\\n])'"),
    "js": (_DOUBLE, _SINGLE, r"`(?:\\.|[^`\\])*`"),
    "html": (_DOUBLE, _SINGLE, r"`(?:\\.|[^`\\])*`"),
    "go": (_DOUBLE, r"`[^`]*`"),
    "php": (_HEREDOC, _LONG, _LONG_SINGLE),
    "ruby": (_HEREDOC, _LONG, _LONG_SINGLE),
    "hash": (_HEREDOC, _LONG, _LONG_SINGLE),
    "elixir": (_TRIPLE, _LONG),
    "lisp": (_LONG,),
    "sql": (r"'(?:''|[^'])*'",),
    "none": (_DOUBLE,),
}
_PATTERNS: Final = {
    style: re.compile("|".join(parts), re.DOTALL) for style, parts in _LITERALS.items()
}
_KEY: Final = re.compile(r"[ \t-]*[\w.\"'/-]+[ \t]*[:=]")
_MOST_LINES: Final = 400
_STOP: Final = re.compile(
    r"(?:stop|delimiter|separator)\w*[\"'`]?\]?\s*(?::=|=>|[:=(,])[^;{}\n]{0,60}\Z", re.IGNORECASE
)
_STOP_ENTRY: Final = re.compile(r"\s*[\w-]*stop\w*\s*[:=]", re.IGNORECASE)
# Texts before it in the same list are stop sequences, too; arguments of a call are not in one.
_LIST: Final = re.compile(
    r"(?:[\[{]|\b(?:[lL]istOf|of|asList|Set)\(\[?)\s*(?:[\"'`][^\"'`\n]{0,40}[\"'`]\s*,\s*){0,9}\Z"
)
_LIST_END: Final = re.compile(r"\s*[,\])}]")
_LOOKING: Final = re.compile(
    r"(?:split\w*|replace\w*|starts_?with|ends_?with|has(?:pre|suf)fix|trim\w*|strip\w*|contains?|"
    r"includes?\??|index_?of|last_?index\w*|find|match(?:es)?|cut|count|toContain|equal\w*|toBe|"
    r"toEqual|gsub!?|sub!?)\s*[(!]\s*(?:[\w.]+(?:\(\))?\s*,\s*)?\Z|[=!]==?\s*\Z",
    re.IGNORECASE,
)
_NEAR: Final = 160


def prompts(
    code: str, path: str, style: str, covered: list[tuple[int, int]], *, alone: bool = False
) -> Iterator[tuple[int, int]]:
    """Yield the offset of each prompt's literal, and of the first mark in it.

    Args:
        code: The file without comments.
        path: Its name.
        style: Of its comments; `rs` for Rust, and `entries` for YAML and the like.
        covered: The spans of what is reported, whose prompts belong to it.
        alone: Whether the file has no use of the API: then marks that are not exact need the
            vendor's name beside them.
    """
    if not turns.SIGN.search(code):
        return
    texts = [(*span, turns.plain(code[slice(*span)])) for span in _spans(code, style)]
    literals = [(start, end, text, _unquoted(text)) for start, end, text in texts]
    has_marks = turns.has_both
    if not alone:
        parts = turns.are_parts(bare for *_, bare in literals)
        has_marks = turns.has_part if parts else turns.has_mark
    last = -_NEAR
    for start, end, text, bare in literals:
        if not has_marks(bare) or _is_stop(code, start, end, text):
            continue
        if any(first <= start < reach for first, reach in covered):
            continue
        exact = turns.is_exact(bare)
        if not is_prompt_of_it(code, start, end, path, exact=exact, alone=alone):
            continue
        by_itself = alone and (turns.is_alone(bare) or not exact)
        if by_itself and not is_beside_its_name(code, start, end, path):
            continue
        # `human + question + assistant` is one prompt.
        joined = style != "entries" and ";" not in code[last:start]
        if not joined or last < 0 or code.count("\n", last, start) > 1:
            sign = turns.SIGN.search(code, start)
            yield start, sign.start() if sign else start
        last = end


def _spans(code: str, style: str) -> Iterator[tuple[int, int]]:
    if style == "entries":
        yield from islice(_entries(code), MOST_PLACES)
        return
    number = 0
    for match in _PATTERNS[style].finditer(code):
        if turns.SIGN.search(code, match.start(), match.end()):
            yield match.span()
            number += 1
            if number >= MOST_PLACES:
                return


def _entries(code: str) -> Iterator[tuple[int, int]]:
    """Yield the entries of YAML or of properties that have a mark.

    An entry is a line with a key, and what is indented more, or continues it after a backslash.
    """
    reach = 0
    for sign in turns.SIGN.finditer(code):
        if sign.start() < reach:
            continue
        start = code.rfind("\n", 0, sign.start()) + 1
        indent = _indent(code, start)
        for _ in range(_MOST_LINES):
            if start <= reach or _KEY.match(code[start : sign.start()]):
                break
            start = code.rfind("\n", 0, start - 1) + 1
        inner = min(indent, _indent(code, start))
        end = sign.end()
        for _ in range(_MOST_LINES):
            end = code.find("\n", end)
            if end < 0 or end + 1 >= len(code):
                end = len(code)
                break
            blank = code.startswith("\n", end + 1)
            if not blank and _indent(code, end + 1) <= inner and code[end - 1] != "\\":
                break
            end += 1
        reach = end
        yield start, end


def _indent(code: str, start: int) -> int:
    end = start
    while end < len(code) and code[end] in " \t":
        end += 1
    return end - start


def _unquoted(text: str) -> str:
    """Return a text without the quotes around it, or the key in front of it."""
    text = _HEREDOC_HEAD.sub("", text.removesuffix('"""').rstrip("\"'`"))
    return re.sub(r"\A(?:[@$]{0,2}[\"'`]+|[ \t-]*[\w.\"'/-]+[ \t]*[:=][ \t]*[\"'|>+-]*)", "", text)


def _is_stop(code: str, start: int, end: int, text: str) -> bool:
    """Return whether a mark is a stop sequence, or is looked for in a text."""
    before = code[max(0, start - _NEAR) : start]
    if _LOOKING.search(before):
        return True
    if not turns.is_alone(_unquoted(text).strip("\"'`[]- ")):
        return False
    if _STOP.search(before) or _STOP_ENTRY.match(text):
        return True
    return _LIST.search(before) is not None and _LIST_END.match(code, end) is not None
