"""Draw a measurement as SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from tenuto.bench.figures import Figures, Times

_WIDTH: Final = 760
_PANEL: Final = 220
_LEFT: Final = 80
_RIGHT: Final = 130
_TOP: Final = 56
_GAP: Final = 70
_COLOURS: Final = ("#1f6f8b", "#c8553d")
_STYLE: Final = "font: 12px sans-serif; fill: #333"


class _Line(NamedTuple):
    name: str
    values: Sequence[float | None]


def svg(levels: Sequence[Figures], title: str, subtitle: str = "") -> str:
    """Return a plot of throughput and waiting times by concurrency, of one or more levels."""
    panels = [
        ("tokens/s", [_Line("all requests", [level.tokens_per_s for level in levels])]),
        ("time to first token, s", _lines([level.first_token_s for level in levels], 1)),
        ("time between tokens, ms", _lines([level.between_tokens_s for level in levels], 1000)),
    ]
    names = [str(level.concurrency) for level in levels]
    height = _TOP + len(panels) * (_PANEL + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(_LEFT, 24, title, weight="bold"),
        _text(_LEFT, 42, subtitle),
    ]
    for number, (name, lines) in enumerate(panels):
        parts += _panel(_TOP + 20 + number * (_PANEL + _GAP), name, names, lines)
    return "\n".join([*parts, "</svg>", ""])


def _lines(levels: Sequence[Times], factor: float) -> list[_Line]:
    def scaled(seconds: float | None) -> float | None:
        return None if seconds is None else factor * seconds

    return [
        _Line("median", [scaled(times.median) for times in levels]),
        _Line("99th percentile", [scaled(times.p99) for times in levels]),
    ]


def _panel(top: int, name: str, names: Sequence[str], lines: Sequence[_Line]) -> list[str]:
    largest = max((value for line in lines for value in line.values if value), default=1.0)
    limit = _round_up(largest)
    right, bottom = _WIDTH - _RIGHT, top + _PANEL

    def x(position: int) -> float:
        return _LEFT + (right - _LEFT) * (position + 0.5) / len(names)

    def y(value: float) -> float:
        return bottom - _PANEL * value / limit

    parts = [_text(_LEFT, top - 8, name)]
    for step in range(5):
        value = limit * step / 4
        ends = f'x1="{_LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}"'
        parts.append(f'<line {ends} stroke="#ddd"/>')
        parts.append(_text(_LEFT - 8, y(value) + 4, f"{value:g}", anchor="end"))
    for position, each in enumerate(names):
        parts.append(_text(x(position), bottom + 18, each, anchor="middle"))
    parts.append(_text(right, bottom + 36, "requests at once", anchor="end"))
    for colour, line in zip(_COLOURS, lines, strict=False):
        points = [(x(n), y(value)) for n, value in enumerate(line.values) if value is not None]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for px, py in points:
            parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>')
        if points:
            parts.append(_text(points[-1][0] + 10, points[-1][1] + 4, line.name, colour=colour))
    return parts


def _round_up(value: float) -> float:
    """Round up to 1, 2, 4, 6, 8 or 10 times a power of ten, whose quarters are round numbers."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10, 20) if step * power >= value)


def _text(
    x: float, y: float, text: str, anchor: str = "start", weight: str = "normal", colour: str = ""
) -> str:
    fill = f"; fill: {colour}" if colour else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'style="{_STYLE}{fill}">{escape(text)}</text>'
    )
