"""Short runs of the fuzzers; `make fuzz` has long ones."""

from __future__ import annotations

import pytest

from fuzz import raw, requests


def test_no_request_is_answered_wrongly(capsys: pytest.CaptureFixture[str]) -> None:
    requests.main(500)
    assert "200: " in capsys.readouterr().out


def test_broken_bytes_leave_the_server_answering() -> None:
    raw.main(320)
