"""Notebooks: the code of all cells as one source, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from tenuto.migrate.python.source import parse

CELL: Final = "#%tenuto-cell "
"""The beginning of the line before each cell in a source."""
_MAGIC: Final = "pass  #%tenuto-magic#"
_MAGIC_LINE: Final = re.compile(
    r"^([ \t]*)([%!].*|\??[A-Za-z_][\w.]*\?{1,2}|[A-Za-z_][\w, ]*=[ \t]*(?:!|%[A-Za-z]).*)$",
    re.MULTILINE,
)
# Magics of a whole cell whose other lines are Python.
_PYTHON_MAGIC: Final = re.compile(r"%%(?:time|timeit|capture|prun|memit)\b")
_FILE_MAGIC: Final = re.compile(r"%%writefile\s[^\n]*\.py\s*\n")
_DOCUMENT_MAGIC: Final = re.compile(r"%%(?:markdown|html|latex|svg)\b", re.IGNORECASE)
_HIDDEN: Final = re.compile(r"^([ \t]*)pass  #%tenuto-magic#", re.MULTILINE)
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()


class Notebook:
    """A notebook with cells of Python.

    Args:
        text: The file's text.

    Raises:
        ValueError: It is not a notebook.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._data: dict[str, Any] = _object(text)
        cells = self._data.get("cells")
        if not isinstance(cells, list):
            raise ValueError("the file has no `cells`, as notebooks of version 4 have")
        self._cells = [
            (number, cell)
            for number, cell in enumerate(cells, 1)
            if isinstance(cell, dict) and cell.get("cell_type") == "code"
        ]

    def source(self, *, written: bool = False) -> str:
        """Return the code of all cells as one source. Cells of other languages are comments.

        Args:
            written: Whether cells that are written to files of Python belong to it.
        """
        parts = []
        for number, cell in self._cells:
            code = _code(cell)
            # A cell that is Python as it stands has no magics, whatever its texts look like.
            plain = code
            if not _is_python(code):
                plain = _MAGIC_LINE.sub(lambda m: f"{m[1]}{_MAGIC}{m[2]}", code)
            magic = code.lstrip()
            other = magic.startswith("%%") and not (
                _PYTHON_MAGIC.match(magic) or (written and _FILE_MAGIC.match(magic))
            )
            if other or not _is_python(plain):
                plain = "\n".join(f"{_MAGIC}{line}" for line in code.split("\n"))
            parts.append(f"{CELL}{number}\n{plain}\n")
        return "".join(parts)

    @staticmethod
    def commands(source: str) -> str:
        """Return the commands of a source, with blank lines for what is Python or a document."""
        lines = []
        document = False
        for line in source.split("\n"):
            command = line.partition(_MAGIC)[2]
            if line.startswith(CELL):
                document = False
            elif _DOCUMENT_MAGIC.match(command):
                document = True
            lines.append("" if document else command)
        return "\n".join(lines)

    def place(self, source: str, line: int) -> tuple[int, int]:
        """Return the number of the cell, and the line in it, of a line of a source."""
        cell, start = 0, 0
        for number, text in enumerate(source.split("\n")[:line], 1):
            if text.startswith(CELL):
                cell, start = int(text.removeprefix(CELL)), number
        return cell, line - start

    def replaced(self, source: str) -> str:
        """Return the file's text with the cells of a changed source."""
        codes: dict[int, str] = {}
        for part in re.split(rf"^{CELL}", source, flags=re.MULTILINE)[1:]:
            number, _, code = part.partition("\n")
            codes[int(number)] = _HIDDEN.sub(r"\1", code.removesuffix("\n"))
        text, places = self._text, _source_places(self._text)
        for number, cell in reversed(self._cells):
            if codes[number] != _code(cell):
                start, end = places[number]
                text = text[:start] + _value(text[start:end], codes[number]) + text[end:]
        return text


def _value(before: str, code: str) -> str:
    r"""Return the JSON of a changed cell's code in the style of the JSON before.

    Lines that have not changed keep their text, such as `\u001B` for an escape.
    """
    ascii_only = before.isascii()
    if not before.startswith("["):
        return json.dumps(code, ensure_ascii=ascii_only)
    texts, first, between, last = _elements(before)
    lines = code.splitlines(keepends=True)
    written = [texts.get(line) or json.dumps(line, ensure_ascii=ascii_only) for line in lines]
    return f"[{first}{between.join(written)}{last}]" if written else "[]"


def _elements(array: str) -> tuple[dict[str, str], str, str, str]:
    """Return the texts of an array's elements by their values, and what is around and between."""
    texts: dict[str, str] = {}
    gaps = []
    end = 1
    while True:
        start = _behind_blanks(array, end)
        if array[start] == ",":
            start = _behind_blanks(array, start + 1)
        gaps.append(array[end:start])
        if array[start] == "]":
            break
        value, behind = _DECODER.raw_decode(array, start)
        texts[str(value)] = array[start:behind]
        end = behind
    first, last = gaps[0], gaps[-1] if len(gaps) > 1 else ""
    between = gaps[1] if len(gaps) > 2 else f",{first or ' '}"
    return texts, first, between, last


def _source_places(text: str) -> dict[int, tuple[int, int]]:
    """Return the offsets of the code of cells in the JSON of a notebook, by their numbers."""
    places: dict[int, tuple[int, int]] = {}
    for name, start in _members(text, _behind_blanks(text, 0)):
        if name != "cells":
            continue
        places.clear()
        for number, cell in enumerate(_items(text, start), 1):
            if text[cell] == "{":
                for key, place in _members(text, cell):
                    if key == "source":
                        places[number] = (place, _DECODER.raw_decode(text, place)[1])
    return places


def _members(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Yield the names of an object's members in valid JSON, and the offsets of their values."""
    place = _behind_blanks(text, start + 1)
    while text[place] != "}":
        name, place = _DECODER.raw_decode(text, place)
        place = _behind_blanks(text, _behind_blanks(text, place) + 1)
        yield str(name), place
        place = _behind_comma(text, place)


def _items(text: str, start: int) -> Iterator[int]:
    """Yield the offsets of an array's elements in valid JSON."""
    place = _behind_blanks(text, start + 1)
    while text[place] != "]":
        yield place
        place = _behind_comma(text, place)


def _behind_comma(text: str, place: int) -> int:
    """Return the offset behind a value, a comma and white space."""
    place = _behind_blanks(text, _DECODER.raw_decode(text, place)[1])
    return _behind_blanks(text, place + 1) if text[place] == "," else place


def _behind_blanks(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    return found.end() if found is not None else place


def _object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the notebook is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError("the notebook is not a JSON object")
    return data


def _is_python(code: str) -> bool:
    try:
        parse(code)
    except SyntaxError:
        return False
    return True


def _code(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)
