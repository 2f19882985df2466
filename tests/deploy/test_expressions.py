"""Alerts and dashboard use figures, labels and values that the server has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tenuto.core.events import End
from tenuto.core.refusal import Kind
from tenuto.engine.base import UpstreamState
from tenuto.operations.metrics.exposition import exposition
from tenuto.operations.metrics.families import FAMILIES, FamilyKind
from tenuto.operations.metrics.figures import Figures
from tenuto.operations.records import Delivery
from tenuto.server.settlement import outcome_name
from tests.deploy.expressions import (
    ALERTS,
    DEPLOY,
    alert_expressions,
    checked_by_promtool,
    dashboard,
    dashboard_expressions,
    panels,
)

TROUBLE = Path(__file__).with_name("alerts_test.yml")
EXPRESSIONS = [*alert_expressions(), *dashboard_expressions()]
OF_PROMETHEUS = {"instance", "job", "le"}
VALUES: dict[str, set[str]] = {
    "outcome": {outcome_name(each) for kind in (End, Kind, Delivery) for each in kind},
    "state": {*UpstreamState},
    "result": {"success", "failure"},
    "route": {"/v1/complete"},
    "job": {"tenuto"},
}


def labels_of_names() -> dict[str, set[str]]:
    """The labels of every name that a scrape has, and of `up`, which Prometheus adds."""
    found = {"up": set[str]()}
    for family in FAMILIES:
        histogram = family.kind is FamilyKind.HISTOGRAM
        for suffix in ("_bucket", "_count", "_sum") if histogram else ("",):
            found[family.name + suffix] = set(family.labels)
    body, _ = exposition(Figures(), "")
    for name in re.findall(r"^(process_\w+)", body.decode(), re.M):
        found[name] = set()
    return found


NAMES = labels_of_names()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_names_figures_and_labels_that_exist(expression: str) -> None:
    named = re.findall(r"\b((?:tenuto|process)_\w+|up(?=\{))(?:\{(.*?)\})?", expression)
    assert named
    for name, matchers in named:
        assert name in NAMES
        for label, operator, values in re.findall(r'(\w+)(!?=~?)"(.*?)"', matchers):
            assert label in NAMES[name] | OF_PROMETHEUS
            if label in VALUES:
                assert set(values.split("|") if "~" in operator else [values]) <= VALUES[label]
    labels = set().union(*(NAMES[name] for name, _ in named), OF_PROMETHEUS)
    for grouping in re.findall(r"by \((.*?)\)", expression):
        assert set(grouping.split(", ")) <= labels


def test_legends_use_the_labels_of_their_expressions() -> None:
    for panel in panels():
        for target in panel["targets"]:
            names = re.findall(r"\b(?:tenuto|process)_\w+", target["expr"])
            labels = set().union(*(NAMES[name] for name in names)) | {"instance"}
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert legend <= labels
            for grouping in re.findall(r"by \(((?!le\)).*?)\)", target["expr"]):
                assert legend == set(grouping.split(", "))


def test_every_family_is_on_the_dashboard() -> None:
    text = " ".join(dashboard_expressions())
    assert [family.name for family in FAMILIES if family.name not in text] == []


def test_every_family_is_in_the_documentation_with_its_type() -> None:
    page = (DEPLOY.parent / "docs" / "operations.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(tenuto_\w+)` \| (\w+) \|", page, re.M))
    assert rows == {family.name: str(family.kind) for family in FAMILIES}


def test_panels_have_unique_ids_and_do_not_overlap() -> None:
    found = dashboard()["panels"]
    assert len({panel["id"] for panel in found}) == len(found)
    cells = [
        (x, y)
        for panel in found
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_alerts_pass_promtool() -> None:
    assert checked_by_promtool("check", "rules", "--lint=all", "--lint-fatal", str(ALERTS)) == ""


def test_each_alert_fires_in_trouble_and_rests_without() -> None:
    assert checked_by_promtool("test", "rules", str(TROUBLE)) == ""
    fired = re.findall(r'\{alertname="(\w+)"\}', TROUBLE.read_text("utf-8"))
    assert sorted(fired) == sorted(re.findall(r"alert: (\w+)", ALERTS.read_text("utf-8")))
