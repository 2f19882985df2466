"""Tables on standard output, as wide as the terminal allows."""

from __future__ import annotations

from collections.abc import Sequence

from tenuto.cli import output


def print_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()
) -> None:
    """Print a table, or, where it is wider than the terminal, each row over several lines.

    Args:
        titles: Titles of the columns.
        rows: Texts of the cells.
        numbers: Titles of the columns that are aligned on the right.
    """
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) > output.width():
        _print_list(titles, rows)
        return
    for row in (titles, *rows):
        cells = [
            cell.rjust(width) if title in numbers else cell.ljust(width)
            for title, cell, width in zip(titles, row, widths, strict=True)
        ]
        output.line("  ".join(cells).rstrip())


def _print_list(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for name, *cells in rows:
        output.line(name)
        for title, cell in zip(titles[1:], cells, strict=True):
            output.line(output.wrapped(f"  {title.lower():14}{cell}", 16 * " "))
