from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.bench.candidates import (
    PREFILL,
    Candidate,
    Measured,
    Purpose,
    best_of,
    comparison,
    objective,
    shapes,
    thread_counts,
    usual_purpose,
)


def measured(runtime: str, rates: dict[int, float], threads: int = 2) -> Measured:
    return Measured(Candidate(runtime, runtime.title(), threads), 1.0, rates)


FEW = [PREFILL, 1, 8]


@pytest.mark.parametrize(
    ("purpose", "max_running", "deciding", "all_of_them"),
    [
        (Purpose.ONE, 64, [PREFILL, 1], [PREFILL, 1, 8, 32]),
        (Purpose.FEW, 64, [PREFILL, 1, 8], [PREFILL, 1, 8, 32]),
        (Purpose.MANY, 64, [PREFILL, 8, 32], [PREFILL, 8, 32, 1]),
        (Purpose.MANY, 4, [PREFILL, 4], [PREFILL, 4, 1]),
        (Purpose.FEW, 1, [PREFILL, 1], [PREFILL, 1]),
    ],
)
def test_shapes_are_those_of_the_purpose_first_within_max_running(
    purpose: Purpose, max_running: int, deciding: list[int], all_of_them: list[int]
) -> None:
    assert objective(purpose, max_running) == deciding
    assert shapes(purpose, max_running) == all_of_them


@pytest.mark.parametrize(
    ("max_running", "purpose"),
    [(1, Purpose.ONE), (2, Purpose.FEW), (64, Purpose.FEW), (65, Purpose.MANY)],
)
def test_purpose_follows_from_max_running(max_running: int, purpose: Purpose) -> None:
    assert usual_purpose(max_running) is purpose


@pytest.mark.parametrize(
    ("cores", "small", "counts"),
    [(1, False, [1]), (1, True, [1]), (2, False, [2, 1]), (8, False, [8, 7]), (8, True, [8, 7, 1])],
)
def test_threads_to_measure(cores: int, small: bool, counts: list[int]) -> None:
    assert thread_counts(cores, small=small) == counts


def test_highest_geometric_mean_wins() -> None:
    even = measured("even", {PREFILL: 100, 1: 20, 8: 80})
    fast_at_one = measured("uneven", {PREFILL: 100, 1: 30, 8: 40})
    assert best_of([fast_at_one, even], FEW) is even
    assert best_of([fast_at_one, even], [PREFILL, 1]) is fast_at_one


def test_candidate_without_a_rate_that_decides_loses() -> None:
    slow = measured("slow", {PREFILL: 1, 1: 1, 8: 1})
    cut_off = measured("fast", {PREFILL: 100, 1: 100})
    assert best_of([cut_off, slow], FEW) is slow
    assert best_of([cut_off], FEW) is None
    assert best_of([], FEW) is None


rates = st.floats(min_value=0.001, max_value=1e6)


@given(st.lists(st.tuples(rates, rates, rates), min_size=1, max_size=6), st.floats(0.01, 100))
def test_choice_does_not_depend_on_the_unit_of_a_shape(
    table: list[tuple[float, float, float]], factor: float
) -> None:
    def candidates(scale: float) -> list[Measured]:
        return [measured("r", {PREFILL: p * scale, 1: a, 8: b}) for p, a, b in table]

    plain, scaled = candidates(1.0), candidates(factor)
    best = best_of(plain, FEW)
    assert best is not None
    best_scaled = scaled[plain.index(best)].score(FEW)
    top = max(each.score(FEW) or 0.0 for each in scaled)
    assert best_scaled == pytest.approx(top, rel=1e-9)


def test_choice_is_compared_with_the_best_of_other_runtimes_at_the_last_shape() -> None:
    best = measured("llamacpp", {PREFILL: 100, 1: 30, 8: 84})
    sibling = measured("llamacpp", {PREFILL: 100, 1: 30, 8: 83}, threads=1)
    other = measured("openvino", {PREFILL: 110, 1: 20, 8: 60})
    slower = measured("openvino", {PREFILL: 50, 1: 10, 8: 30}, threads=1)
    found = comparison(best, [sibling, slower, other, best], FEW)
    assert found == "1.4 \N{MULTIPLICATION SIGN} Openvino at 8 streams"


def test_comparison_is_of_the_largest_gain_if_the_last_shape_has_none() -> None:
    best = measured("llamacpp", {PREFILL: 300, 1: 30, 8: 50})
    other = measured("openvino", {PREFILL: 100, 1: 20, 8: 60})
    assert comparison(best, [best, other], FEW) == "3.0 \N{MULTIPLICATION SIGN} Openvino at prefill"


def test_comparison_is_empty_without_another_measured_runtime() -> None:
    best = measured("llamacpp", {PREFILL: 300, 1: 30, 8: 50})
    failed = measured("openvino", {})
    assert comparison(best, [best, failed], FEW) == ""
