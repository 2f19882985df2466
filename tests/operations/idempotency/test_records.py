from __future__ import annotations

import pytest

from tenuto.operations.idempotency.records import KeptResponse, wait_s


@pytest.mark.parametrize(
    ("elapsed_s", "usual_s", "expected"),
    [
        (0.0, None, 5.0),
        (4.5, None, 1.0),
        (8.0, None, 8.0),
        (0.0, 0.1, 1.0),
        (2.0, 10.0, 8.0),
        (9.9, 10.0, 1.0),
        (30.0, 10.0, 30.0),
        (0.0, 600.0, 60.0),
        (10_000.0, 1.0, 60.0),
    ],
)
def test_wait_is_the_rest_of_the_usual_time_from_1_to_60_seconds(
    elapsed_s: float, usual_s: float | None, expected: float
) -> None:
    assert wait_s(elapsed_s, usual_s) == pytest.approx(expected)


def test_size_counts_body_and_headers() -> None:
    empty = KeptResponse(200, (), b"").size
    assert empty > 0
    assert KeptResponse(200, ((b"name", b"value"),), b"body").size == empty + 13
