from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.bench.figures import Outcome, Times, figures
from tenuto.bench.plot import svg

SVG = "{http://www.w3.org/2000/svg}"
ONE = figures(1, [Outcome(0.0, (0.5, 0.6), 1.0, "max_tokens", 40)], 0.0, complete=True)


def points(text: str) -> list[list[tuple[float, float]]]:
    lines = ElementTree.fromstring(text).iter(f"{SVG}polyline")
    return [[point(text) for text in line.get("points", "").split()] for line in lines]


def point(text: str) -> tuple[float, float]:
    x, y = text.split(",")
    return float(x), float(y)


def test_larger_values_are_higher_and_later_levels_further_right() -> None:
    levels = [
        dataclasses.replace(ONE, concurrency=count, tokens_per_s=rate)
        for count, rate in ((1, 100.0), (2, 180.0), (4, 150.0))
    ]
    rates = points(svg(levels, "t"))[0]
    assert [x for x, _ in rates] == sorted(x for x, _ in rates)
    heights = [-y for _, y in rates]
    assert heights[0] < heights[2] < heights[1]
    # In proportion: 180 is as much above 100 as its distance from 0 says.
    assert (heights[1] - heights[0]) / (heights[2] - heights[0]) == pytest.approx(80 / 50, rel=0.01)


def test_missing_values_are_left_out() -> None:
    none = dataclasses.replace(ONE, first_token_s=Times(None, None, None))
    lines = points(svg([ONE, none], "t"))
    assert [len(line) for line in lines] == [2, 1, 1, 2, 2]


def test_title_is_escaped() -> None:
    text = svg([ONE], 'a <b> & "c"')
    assert 'a <b> & "c"' in [each.text for each in ElementTree.fromstring(text).iter(f"{SVG}text")]


@given(st.floats(1e-6, 1e9))
def test_every_value_is_within_its_panel(rate: float) -> None:
    ((_, y),) = points(svg([dataclasses.replace(ONE, tokens_per_s=rate)], "t"))[0]
    assert 76 <= y <= 76 + 220
