"""Draw the outcomes of simulations as SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 760
_LEFT: Final = 70
_RIGHT: Final = 20
_PANEL: Final = 190
_GAP: Final = 78
_TOP: Final = 70
_COLOURS: Final = ("#1f6f8b", "#c8553d", "#6a8e3a", "#8a5a9e", "#888888")
_STYLE: Final = "font: 12px sans-serif; fill: #333"


@dataclass(frozen=True)
class Line:
    """Values of one series by number of nodes."""

    name: str
    values: Mapping[int, float]
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines over the number of nodes, both on logarithmic scales unless `top` is set.

    Attributes:
        top: Upper end of a linear scale from 0; None for a logarithmic one.
        level: A level to mark, with its name.
    """

    title: str
    lines: Sequence[Line]
    top: float | None = None
    level: tuple[float, str] | None = None


def svg(title: str, panels: Sequence[Panel]) -> str:
    """Return a picture of panels under each other. Lines of one name have one colour."""
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    colours = dict(zip(names, _COLOURS, strict=False))
    height = _TOP + len(panels) * (_PANEL + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(_LEFT, 22, title, bold=True),
    ]
    for number, name in enumerate(names):
        parts.append(_text(_LEFT + number * 135, 44, f"● {name}", colour=colours[name]))
    for number, panel in enumerate(panels):
        parts += _panel(_TOP + 24 + number * (_PANEL + _GAP), panel, colours)
    return "\n".join([*parts, "</svg>", ""])


def _panel(top: int, panel: Panel, colours: Mapping[str, str]) -> list[str]:
    nodes = sorted({each for line in panel.lines for each in line.values})
    values = [value for line in panel.lines for value in line.values.values()]
    if panel.level:
        values.append(panel.level[0])
    bottom, span = top + _PANEL, _WIDTH - _LEFT - _RIGHT
    first, last = math.log(nodes[0]), math.log(nodes[-1])
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(count: int) -> float:
        return _LEFT + 20 + (span - 40) * (math.log(count) - first) / (last - first)

    def y(value: float) -> float:
        if panel.top is not None:
            return bottom - _PANEL * value / panel.top
        return bottom - _PANEL * (math.log10(value) - low) / (high - low)

    parts = [_text(_LEFT, top - 10, panel.title)]
    quarters = [(panel.top or 0) * step / 4 for step in range(5)]
    for value in quarters if panel.top else [10.0**power for power in range(low, high + 1)]:
        parts.append(_rule(y(value), "#ddd"))
        parts.append(_text(_LEFT - 8, y(value) + 4, f"{value:,g}", anchor="end"))
    parts += [_text(x(count), bottom + 18, str(count), anchor="middle") for count in nodes]
    parts.append(_text(_WIDTH - _RIGHT, bottom + 34, "nodes", anchor="end"))
    for line in panel.lines:
        points = [(x(count), y(value)) for count, value in sorted(line.values.items())]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        look = f'stroke="{colours[line.name]}" stroke-width="2"'
        dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
        parts.append(f'<polyline points="{path}" fill="none" {look}{dashes}/>')
        parts += [
            f'<circle fill="none" cx="{px:.1f}" cy="{py:.1f}" r="2" {look}/>' for px, py in points
        ]
    if panel.level:
        value, name = panel.level
        parts += [_rule(y(value), "#333"), _text(_LEFT + 8, y(value) + 16, name)]
    return parts


def _rule(y: float, colour: str) -> str:
    ends = f'x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
    return f'<line {ends} stroke="{colour}"/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = "", bold: bool = False
) -> str:
    fill = f"; fill: {colour}" if colour else ""
    fill += "; font-weight: bold" if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
        f'style="{_STYLE}{fill}">{escape(text)}</text>'
    )
