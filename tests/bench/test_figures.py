from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.bench.figures import Outcome, Times, figures, percentile, times

durations = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


@given(durations, st.floats(0.001, 1))
def test_percentile_is_the_smallest_value_of_its_share(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


@given(durations)
def test_median_and_maximum_equal_the_reference(values: list[float]) -> None:
    found = times(values)
    assert found.median == statistics.median_low(values)
    assert found.largest == max(values)
    assert found.p99 == percentile(values, 0.99)


@pytest.mark.parametrize(("count", "p99"), [(1, 1), (99, 99), (100, 99), (101, 100), (200, 198)])
def test_99th_percentile_is_by_nearest_rank(count: int, p99: float) -> None:
    assert percentile([float(n) for n in range(count, 0, -1)], 0.99) == p99


def test_figures_without_measurements_are_empty() -> None:
    assert times([]) == Times(None, None, None)
    empty = figures(4, [], 0.0, complete=False)
    assert (empty.requests, empty.tokens_per_s, empty.client_cpu) == (0, 0.0, 0.0)


def test_figures_count_only_complete_responses() -> None:
    outcomes = [
        # Four tokens in three events, since it ended for their number.
        Outcome(10.0, (10.5, 10.6, 10.8), 11.0, "max_tokens", 4),
        # As many as its events, since it ended by itself.
        Outcome(10.2, (11.2, 11.3), 12.0, "stop_sequence", 4),
        Outcome(10.1, (10.2,), 15.0, None, 4, "the stream broke off"),
        Outcome(10.3, (), 10.4, None, 4, "529 overloaded_error"),
    ]

    found = figures(2, outcomes, 1.0, complete=True)

    assert (found.requests, found.failed, found.tokens, found.exact) == (2, 2, 6, 1)
    assert found.failures == {"the stream broke off": 1, "529 overloaded_error": 1}
    # The failures took their time of the server, too.
    assert found.seconds == 5.0
    assert found.tokens_per_s == pytest.approx(6 / 5)
    assert found.client_cpu == pytest.approx(0.2)
    assert found.first_token_s.median == pytest.approx(0.5)
    assert found.first_token_s.largest == pytest.approx(1.0)
    assert found.between_tokens_s.largest == pytest.approx(0.2)
    assert found.between_tokens_s.median == pytest.approx(0.1)


def test_response_without_text_has_no_first_token() -> None:
    found = figures(1, [Outcome(0.0, (), 1.0, "stop_sequence", 4)], 0.0, complete=True)
    assert (found.requests, found.tokens, found.first_token_s.median) == (1, 0, None)
