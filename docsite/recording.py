"""Record real commands as an animated picture: `python -m docsite.recording docs/terminal.svg`.

The commands run in a terminal of their own. What they print, and when, is as it was, but for
silences, of which two seconds are kept, and for the typing of the commands.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

COMMANDS = (
    'tenuto complete "What is the capital of France?"',
    'tenuto complete "Tell me a story about a dog." --seed 1 --max-tokens 90',
)
_COLUMNS, _ROWS = 84, 24
_KEY_S, _PAUSE_S, _SILENCE_S, _END_S = 0.03, 0.5, 2.0, 5.0
_CHARACTER, _LINE, _MARGIN = 8.4, 20, 16
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r\n|[\r\n\b]|[^\x1b\r\n\b]+")


@dataclass(frozen=True)
class Span:
    """Text at a place of the screen, from one time to another; None: to the end."""

    row: int
    column: int
    text: str
    begin: float
    end: float | None


class Screen:
    """The lines of a terminal without scrolling, and their history."""

    def __init__(self) -> None:
        self.rows: list[str] = [""]
        self.row = self.column = 0
        self.history: list[tuple[float, list[str]]] = []

    def write(self, text: str, now: float) -> None:
        """Take what a program prints."""
        for match in _CONTROL.finditer(text):
            self._take(match[0])
        self.history.append((now, list(self.rows)))

    def _take(self, part: str) -> None:
        if part in ("\r\n", "\n"):
            self.row, self.column = self.row + 1, 0
        elif part == "\r":
            self.column = 0
        elif part == "\b":
            self.column = max(0, self.column - 1)
        elif part.endswith("K") and part.startswith("\x1b"):
            line = self._line()
            self._set("" if part == "\x1b[2K" else line[: self.column])
        elif not part.startswith("\x1b"):
            for character in part:
                if self.column == _COLUMNS:
                    self.row, self.column = self.row + 1, 0
                line = self._line().ljust(self.column)
                self._set(line[: self.column] + character + line[self.column + 1 :])
                self.column += 1

    def _line(self) -> str:
        while len(self.rows) <= self.row:
            self.rows.append("")
        return self.rows[self.row]

    def _set(self, line: str) -> None:
        self._line()
        self.rows[self.row] = line

    def spans(self) -> list[Span]:
        """Return which line showed what, and from when to when."""
        spans = []
        for row in range(len(self.rows)):
            shown, now_shown = "", list[Span]()
            for now, rows in self.history:
                line = rows[row] if row < len(rows) else ""
                if not line.startswith(shown):
                    spans += [replace(span, end=now) for span in now_shown]
                    shown, now_shown = "", []
                if line != shown:
                    now_shown.append(Span(row, len(shown), line[len(shown) :], now, None))
                    shown = line
            spans += now_shown
        return [span for span in spans if span.text.strip()]


def record(commands: tuple[str, ...]) -> tuple[Screen, float]:
    """Run the commands one after another.

    Returns:
        The screen, and the seconds that the recording takes.
    """
    screen, now = Screen(), 0.0
    for command in commands:
        screen.write("$ ", now)
        now += _PAUSE_S
        for key in command:
            now += _KEY_S
            screen.write(key, now)
        now = _run(command, screen, now + _PAUSE_S)
        screen.write("\r\n" if screen.column == 0 else "\r\n\r\n", now)
    return screen, now


def _run(command: str, screen: Screen, now: float) -> float:
    screen.write("\r\n", now)
    terminal, end = pty.openpty()
    size = {"COLUMNS": str(_COLUMNS), "LINES": str(_ROWS)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    program = subprocess.Popen(  # noqa: S602
        command,
        shell=True,
        stdin=end,
        stdout=end,
        stderr=end,
        env=os.environ | size | {"PATH": path},
        start_new_session=True,
    )
    os.close(end)
    last = time.monotonic()
    while True:
        try:
            printed = os.read(terminal, 65536)
        except OSError:
            break
        if not printed:
            break
        now += min(time.monotonic() - last, _SILENCE_S)
        last = time.monotonic()
        screen.write(printed.decode(errors="replace"), now)
    os.close(terminal)
    if program.wait():
        raise SystemExit(f"{command}: failed")
    return now + min(time.monotonic() - last, _SILENCE_S)


def drawn(screen: Screen, length: float) -> str:
    """Return the SVG. Viewers without animations show the last picture."""
    width = round(2 * _MARGIN + _COLUMNS * _CHARACTER)
    height = 2 * _MARGIN + 24 + len(screen.rows) * _LINE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
        "  font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\"",
        '  font-size="14">',
        "<title>Tenuto completes prompts in a terminal</title>",
        f'<rect width="{width}" height="{height}" rx="10" fill="#171a24"/>',
        *(f'<circle cx="{x}" cy="18" r="5" fill="#5b6174"/>' for x in (20, 38, 56)),
        '<rect width="0" height="0"><animate id="run" attributeName="x" from="0" to="0"',
        f'begin="0s;run.end" dur="{length + _END_S:.1f}s"/></rect>',
        '<g fill="#e6e8f0" xml:space="preserve" style="white-space: pre">',
        *(_text(span) for span in screen.spans()),
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _text(span: Span) -> str:
    x = round(_MARGIN + span.column * _CHARACTER, 1)
    y = _MARGIN + 36 + span.row * _LINE
    length = f'textLength="{len(span.text) * _CHARACTER:.1f}"'
    begin = f"run.begin+{span.begin:.2f}s"
    if span.end is None:
        visible, to, times = "visible", "hidden", f'begin="run.begin" end="{begin}"'
    else:
        times = f'begin="{begin}" end="run.begin+{span.end:.2f}s"'
        visible, to = "hidden", "visible"
    return (
        f'<text x="{x}" y="{y}" {length} visibility="{visible}">{escape(span.text)}'
        f'<set attributeName="visibility" to="{to}" {times}/></text>'
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawn(*record(COMMANDS)), encoding="utf-8")
