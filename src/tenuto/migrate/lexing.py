"""Sources of other languages, without their comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

MOST_PLACES: Final = 1_000
"""Places of one kind that are looked at in a file: what has more is data."""
_DOUBLE: Final = r'"(?:\\.|[^"\\\n])*"'
_SINGLE: Final = r"'(?:\\.|[^'\\\n])*'"
_TEMPLATE: Final = r"`(?:\\.|[^`\\])*`"
_RAW: Final = r"`[^`]*`"
_LINE: Final = r"//[^\n]*"
_BLOCK: Final = r"/\*.*?(?:\*/|\Z)"
_HASH: Final = r"#[^\n]*"
_TEXT_BLOCK: Final = r'""".*?(?:"""|\Z)'

_STYLES: Final = {
    "c": (_TEXT_BLOCK, _DOUBLE, _SINGLE, _BLOCK, _LINE),
    "js": (_DOUBLE, _SINGLE, _TEMPLATE, _BLOCK, _LINE),
    "go": (_DOUBLE, _RAW, _BLOCK, _LINE),
    "php": (_DOUBLE, _SINGLE, _BLOCK, _LINE, r"(?<![\w$])#(?!\[)[^\n]*"),
    "ruby": (_DOUBLE, _SINGLE, r"^=begin\b.*?^=end\b", r"(?<![\w$])#(?!\{)[^\n]*"),
    "hash": (r"(?<!\S)#[^\n]*",),
    "elixir": (r'@\w*doc\s+(?:~[sS])?""".*?(?:"""|\Z)', r"(?<!\S)#(?!\{)[^\n]*"),
    "lisp": (_DOUBLE, r";[^\n]*"),
    "sql": (r"'(?:''|[^'])*'", _BLOCK, r"--[^\n]*"),
    "none": (),
}
_PATTERNS: Final = {
    style: re.compile("|".join(parts), re.DOTALL | re.MULTILINE) if parts else None
    for style, parts in _STYLES.items()
}
_SCRIPT: Final = re.compile(r"<script\b", re.IGNORECASE)
_SCRIPT_END: Final = re.compile(r"</script\b", re.IGNORECASE)
_COMMENT: Final = re.compile(r"//|/\*|#|;|--|=begin|@\w*doc")


def places(pattern: re.Pattern[str], code: str) -> Iterator[re.Match[str]]:
    """Yield the matches of a pattern, but no more than a person reads of one file."""
    return islice(pattern.finditer(code), MOST_PLACES)


def without_comments(text: str, style: str) -> str:
    """Return a text whose comments are blanks, with the same offsets.

    Args:
        text: The source.
        style: `c`, `js`, `go`, `php`, `ruby`, `elixir`, `lisp`, `sql`, `hash` for `#` alone, `html`
            for the scripts of a page, whose other text becomes blanks, or `none`.
    """
    if style == "html":
        return without_comments(_scripts(text), "js")
    pattern = _PATTERNS[style]
    if pattern is None:
        return text
    return pattern.sub(lambda m: _blank(m[0]) if _COMMENT.match(m[0]) else m[0], text)


def _scripts(text: str) -> str:
    """Return the scripts of a page, and blanks for the rest of it."""
    parts, end = [], 0
    while opened := _SCRIPT.search(text, end):
        # No expression as a whole: without an end it would read the rest for each beginning.
        start = text.find(">", opened.end()) + 1
        closed = _SCRIPT_END.search(text, start) if start else None
        if closed is None:
            break
        parts += [_blank(text[end:start]), text[start : closed.start()]]
        end = closed.start()
    return "".join([*parts, _blank(text[end:])])


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def arguments(text: str, start: int, most: int = 20_000) -> str:
    """Return the text from a bracket to the one that closes it, or `most` characters."""
    depth = 0
    position, end = start, min(len(text), start + most)
    while position < end:
        character = text[position]
        if character in "\"'`":
            close = position + 1
            while close < end and text[close] != character:
                close += 2 if text[close] == "\\" else 1
            position = close
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth <= 0:
                return text[start : position + 1]
        position += 1
    return text[start:end]
