"""Notebooks: the code of all cells as one source, and back."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from tenuto.migrate.python.source import parse

_CELL: Final = "#%tenuto-cell "
_MAGIC: Final = "pass  #%tenuto-magic#"
_MAGIC_LINE: Final = re.compile(
    r"^([ \t]*)([%!].*|\??[A-Za-z_][\w.]*\?{1,2}|[A-Za-z_][\w, ]*=[ \t]*(?:!|%[A-Za-z]).*)$",
    re.MULTILINE,
)
# Magics of a whole cell whose other lines are Python.
_PYTHON_MAGIC: Final = re.compile(r"%%(?:time|timeit|capture|prun|memit)\b")
_HIDDEN: Final = re.compile(r"^([ \t]*)pass  #%tenuto-magic#", re.MULTILINE)


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

    def source(self) -> str:
        """Return the code of all cells as one source. Cells of other languages are comments."""
        parts = []
        for number, cell in self._cells:
            code = _code(cell)
            # A cell that is Python as it stands has no magics, whatever its texts look like.
            plain = code
            if not _is_python(code):
                plain = _MAGIC_LINE.sub(lambda m: f"{m[1]}{_MAGIC}{m[2]}", code)
            other = code.lstrip().startswith("%%") and not _PYTHON_MAGIC.match(code.lstrip())
            if other or not _is_python(plain):
                plain = "\n".join(f"{_MAGIC}{line}" for line in code.split("\n"))
            parts.append(f"{_CELL}{number}\n{plain}\n")
        return "".join(parts)

    def place(self, source: str, line: int) -> tuple[int, int]:
        """Return the number of the cell, and the line in it, of a line of a source."""
        cell, start = 0, 0
        for number, text in enumerate(source.split("\n")[:line], 1):
            if text.startswith(_CELL):
                cell, start = int(text.removeprefix(_CELL)), number
        return cell, line - start

    def replaced(self, source: str) -> str:
        """Return the file's text with the cells of a changed source."""
        codes: dict[int, str] = {}
        for part in re.split(rf"^{_CELL}", source, flags=re.MULTILINE)[1:]:
            number, _, code = part.partition("\n")
            codes[int(number)] = _HIDDEN.sub(r"\1", code.removesuffix("\n"))
        for number, cell in self._cells:
            if codes[number] != _code(cell):
                lines = codes[number].splitlines(keepends=True)
                cell["source"] = lines if isinstance(cell["source"], list) else codes[number]
        return self._written()

    def _written(self) -> str:
        """Write the file in the style of the one that was read."""
        before = _object(self._text)
        for indent in (1, 2, 4, None):
            for ascii_only in (False, True):
                for end in ("\n", ""):
                    style = {"indent": indent, "ensure_ascii": ascii_only}
                    if json.dumps(before, **style) + end == self._text:  # type: ignore[arg-type]
                        return json.dumps(self._data, **style) + end  # type: ignore[arg-type]
        return json.dumps(self._data, indent=1, ensure_ascii=False) + "\n"


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
