"""Figures of requests, equal to those of their records."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.job import Usage
from tenuto.core.token_gaps import GAP_BOUNDS_S, TokenGaps
from tenuto.operations.metrics import families
from tenuto.operations.metrics.figures import Distribution, Figures
from tenuto.operations.metrics.labels import RequestLabels
from tenuto.operations.metrics.tally import RequestTally
from tests.operations.metrics.test_labels import record


def counted(*requests: dict[str, Any]) -> Figures:
    tally = RequestTally(RequestLabels(9))
    tally.add_names(["m"], [])
    for fields in requests:
        tally.count(record(**fields), "stop_sequence")
    figures = Figures()
    tally.write(figures)
    return figures


def only(figures: Figures, family: families.Family) -> float:
    (amount,) = figures.samples[family.name].values()
    return amount


def filled(distribution: Distribution, bounds: tuple[float, ...]) -> dict[float, int]:
    named = zip((*bounds, float("inf")), distribution.counts, strict=True)
    return {bound: count for bound, count in named if count}


def test_requests_with_equal_labels_are_one_series() -> None:
    figures = counted(
        {"route": "/v1/complete", "served_model": "m", "requested_model": "x"},
        {"route": "/v1/complete", "served_model": "m", "requested_model": "y"},
        {"route": "/health"},
    )
    assert figures.samples["tenuto_requests_total"] == {
        ("/v1/complete", "stop_sequence", "m", "", ""): 2,
        ("/health", "stop_sequence", "", "", ""): 1,
    }


def test_names_are_labels_of_the_requests_after_them() -> None:
    tally, figures = RequestTally(RequestLabels(9)), Figures()
    tally.count(record(served_model="m", requested_model="m"), "stop_sequence")
    tally.add_names(["m"], [])
    tally.count(record(served_model="m", requested_model="m"), "stop_sequence")
    tally.write(figures)
    models = {
        labels[2]: count for labels, count in figures.samples["tenuto_requests_total"].items()
    }
    assert models == {"other": 1, "m": 1}


def test_every_request_is_counted_once_whenever_it_is_scraped() -> None:
    tally = RequestTally(RequestLabels(9))
    for number in range(1, 200):
        tally.count(record(served_model="m"), "stop_sequence")
        figures = Figures()
        if number % 7 == 0 or number == 199:
            tally.write(figures)
            assert only(figures, families.REQUESTS) == number


def test_unknown_numbers_of_tokens_count_nothing() -> None:
    figures = counted({"usage": Usage(7, None, None)}, {"usage": Usage(3, 2, 1)}, {"usage": None})
    assert only(figures, families.INPUT_TOKENS) == 10
    assert only(figures, families.CACHED_TOKENS) == 2
    assert only(figures, families.OUTPUT_TOKENS) == 1


def test_duration_is_that_of_accepted_completions() -> None:
    figures = counted(
        {"served_model": "m", "seconds": 0.02},
        {"served_model": "m", "seconds": 5000.0},
        {"seconds": 0.3},
    )
    duration = figures.distributions[families.DURATION.name]
    assert filled(duration, families.DURATION.bounds) == {0.02: 1, float("inf"): 1}
    assert duration.total == 5000.02


def test_figures_of_a_scrape_do_not_change_later() -> None:
    tally = RequestTally(RequestLabels(9))
    figures = Figures()
    tally.write(figures)
    tally.count(record(first_token_seconds=1.0), "stop_sequence")
    assert figures.samples["tenuto_requests_total"] == {}
    assert figures.distributions[families.FIRST_TOKEN.name].total == 0


def test_gaps_are_counted_once_with_any_number_of_scrapes() -> None:
    tally = RequestTally(RequestLabels(9))
    one = TokenGaps([1] * (len(GAP_BOUNDS_S) + 1), 2.0)
    for requests in range(1, 301):
        tally.count(record(token_gaps=one), "stop_sequence")
        if requests % 70 == 0:
            figures = Figures()
            tally.write(figures)
            between = figures.distributions[families.TOKEN_GAPS.name]
            assert set(between.counts) == {requests}
            assert between.total == 2.0 * requests


@given(st.lists(st.floats(0, 1e4)), st.lists(st.integers(0, 9), max_size=200))
def test_sums_and_counts_are_those_of_the_records(times: list[float], gaps: list[int]) -> None:
    empty = [0] * (len(GAP_BOUNDS_S) + 1)
    figures = counted(
        *({"first_token_seconds": time} for time in times),
        *({"token_gaps": TokenGaps([count, *empty[1:]], 0.5)} for count in gaps),
    )
    first = figures.distributions[families.FIRST_TOKEN.name]
    assert sum(first.counts) == len(times)
    assert abs(first.total - sum(times)) <= 1e-9 * (1 + sum(times))
    # Prometheus' buckets count everything up to their bound.
    for number, bound in enumerate(families.FIRST_TOKEN.bounds, 1):
        assert sum(first.counts[:number]) == sum(time <= bound for time in times)
    between = figures.distributions[families.TOKEN_GAPS.name]
    assert between == Distribution((sum(gaps), *empty[1:]), 0.5 * len(gaps))
