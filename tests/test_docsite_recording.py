"""Recordings of the terminal: what a screen shows, and when."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

from docsite.recording import Screen, Span, drawn, record


def test_later_text_is_appended_to_its_line() -> None:
    screen = Screen()
    screen.write("Hello,", 1.0)
    screen.write(" world!\r\n", 2.0)
    assert screen.spans() == [Span(0, 0, "Hello,", 1.0, None), Span(0, 6, " world!", 2.0, None)]


def test_erased_line_ends_at_its_erasure() -> None:
    screen = Screen()
    screen.write("loading \x1b[2mmodel\x1b[0m", 1.0)
    screen.write("\r\x1b[2Kready", 2.0)
    assert screen.spans() == [Span(0, 0, "loading model", 1.0, 2.0), Span(0, 0, "ready", 2.0, None)]


def test_long_line_wraps_into_the_next_row() -> None:
    screen = Screen()
    screen.write("x" * 85, 1.0)
    assert [len(row) for row in screen.rows] == [84, 1]


def test_recorded_command_is_drawn_as_well_formed_svg() -> None:
    command = f"""{sys.executable} -c 'print("1 < 2")'"""
    picture = drawn(*record((command,)))
    ElementTree.fromstring(picture)
    assert re.search(r'visibility="visible">1 &lt; 2<set', picture)
