"""The formats that Prometheus reads, parsed again."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
from prometheus_client import parser as text_format
from prometheus_client.openmetrics import parser as openmetrics

from tenuto.operations.metrics import exposition as module
from tenuto.operations.metrics import families
from tenuto.operations.metrics.exposition import exposition
from tenuto.operations.metrics.families import FAMILIES, Family, FamilyKind
from tenuto.operations.metrics.figures import Distribution, Figures
from tests.deploy.programs import promtool

AWKWARD = 'a"b\\c\nd, é'
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def full() -> Figures:
    """One sample of every family."""
    figures = Figures()
    for family in FAMILIES:
        if family.kind is FamilyKind.HISTOGRAM:
            counts = tuple(range(len(family.bounds) + 1))
            figures.distributions[family.name] = Distribution(counts, 2.5)
        else:
            figures.samples[family.name] = {(AWKWARD,) * len(family.labels): 3}
    return figures


def parsed(figures: Figures, accept: str = "") -> dict[str, Any]:
    body, content_type = exposition(figures, accept)
    parser = openmetrics if content_type.startswith("application/") else text_format
    return {each.name: each for each in parser.text_string_to_metric_families(body.decode())}


@pytest.mark.parametrize("accept", ["", OPENMETRICS, "text/plain;version=0.0.4", "image/png"])
def test_every_family_is_reported_with_type_help_and_samples(accept: str) -> None:
    found = parsed(full(), accept)
    for family in FAMILIES:
        metric = found[family.name.removesuffix("_total")]
        assert (metric.type, metric.documentation) == (family.kind, family.help)
        if family.kind is not FamilyKind.HISTOGRAM:
            (sample,) = metric.samples
            assert sample.name == family.name
            assert sample.labels == dict.fromkeys(family.labels, AWKWARD)
            assert sample.value == 3


def test_buckets_are_cumulated_and_end_with_all() -> None:
    metric = parsed(full())[families.FIRST_TOKEN.name]
    buckets = {
        sample.labels["le"]: sample.value for sample in metric.samples if "le" in sample.labels
    }
    assert list(buckets)[:3] == ["0.001", "0.005", "0.01"]
    assert list(buckets.values())[:4] == [0, 1, 3, 6]
    named = {sample.name: sample.value for sample in metric.samples if not sample.labels}
    assert named["tenuto_time_to_first_token_seconds_count"] == buckets["+Inf"]
    assert named["tenuto_time_to_first_token_seconds_sum"] == 2.5


def test_process_figures_are_reported() -> None:
    found = parsed(Figures())
    assert found["process_cpu_seconds"].samples[0].value > 0
    assert found["process_resident_memory_bytes"].samples[0].value > 1e6
    assert found["process_open_fds"].samples[0].value > 0


def test_process_figures_that_cannot_be_read_spoil_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def collect(self) -> Any:
            raise ValueError("could not convert string to float: b'unlimited'")

    monkeypatch.setattr(module, "_PROCESS", Broken())
    assert "tenuto_build_info" in parsed(full())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_family_has_a_unit_a_sentence_and_rising_bounds(family: Family) -> None:
    assert re.fullmatch(r"tenuto(_[a-z]+)+", family.name)
    assert family.name.endswith("_total") is (family.kind is FamilyKind.COUNTER)
    assert family.help.endswith(".")
    assert list(family.bounds) == sorted(set(family.bounds))
    assert bool(family.bounds) is (family.kind is FamilyKind.HISTOGRAM)


def test_names_are_unique() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_promtool_has_no_complaint() -> None:
    body, _ = exposition(full(), "")
    command = [promtool(), "check", "metrics"]
    done = subprocess.run(command, input=body, capture_output=True)
    assert (done.returncode, done.stderr.decode()) == (0, "")
