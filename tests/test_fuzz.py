"""Short runs of the fuzzers; `make fuzz` has long ones."""

from __future__ import annotations

import pytest

from fuzz import models, raw, requests


def test_no_request_is_answered_wrongly(capsys: pytest.CaptureFixture[str]) -> None:
    requests.main(500)
    assert "200: " in capsys.readouterr().out


def test_broken_bytes_leave_the_server_answering() -> None:
    raw.main(320)


def test_damaged_models_end_in_a_line_or_a_completion() -> None:
    ends = models.fuzz(checked=200, loaded=3, seed=2)
    assert sum(count for end, count in ends.items() if end.startswith("checker")) == 200
    assert sum(count for end, count in ends.items() if end.startswith("load")) == 3
    assert ends["checker: refused"] > 50
