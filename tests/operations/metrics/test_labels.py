"""Label values have few values, whatever callers send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.events import End
from tenuto.core.refusal import Kind
from tenuto.operations.metrics.labels import RequestLabels
from tenuto.operations.records import RequestRecord


def record(**fields: object) -> RequestRecord:
    made = RequestRecord("req_1", "127.0.0.1", "POST", "/v1/complete", 0.0, 0.0)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def labels(most_keys: int = 2) -> RequestLabels:
    made = RequestLabels(most_keys)
    made.add_names(["alpha", "beta"], ["east"])
    return made


@pytest.mark.parametrize(
    ("served", "requested", "label"),
    [
        ("alpha", "beta", "alpha"),
        ("alpha", "junk", "alpha"),
        ("junk", "beta", "beta"),
        ("junk", "junk", "other"),
        (None, "beta", "beta"),
        (None, "junk", "other"),
        (None, "", "other"),
        (None, None, ""),
    ],
)
def test_model_is_the_answering_one_else_the_requested_one_else_other(
    served: str | None, requested: str | None, label: str
) -> None:
    made = record(served_model=served, requested_model=requested)
    assert labels().of(made, "ok")[2] == label


@pytest.mark.parametrize(("upstream", "label"), [("east", "east"), ("x", "other"), (None, "")])
def test_upstream_is_one_of_the_settings(upstream: str | None, label: str) -> None:
    assert labels().of(record(upstream=upstream), "ok")[3] == label


def test_unknown_path_is_other() -> None:
    assert labels().of(record(path="/secret"), "not_found_error")[:2] == (
        "other",
        "not_found_error",
    )


def test_keys_beyond_the_most_are_other_and_the_first_ones_keep_their_names() -> None:
    of = labels(most_keys=2).of
    names = ["a", "b", "c", "a", "d", "b"]
    labels_of_names = [of(record(key=name), "ok")[4] for name in names]
    assert labels_of_names == ["a", "b", "other", "a", "other", "b"]


def test_caller_with_an_invalid_key_is_other_and_one_without_a_key_has_none() -> None:
    of = labels().of
    assert of(record(outcome=Kind.UNAUTHENTICATED), "authentication_error")[4] == "other"
    assert of(record(outcome=End.STOP), "stop_sequence")[4] == ""


def test_names_of_later_settings_are_added() -> None:
    made = labels()
    late = record(served_model="gamma", requested_model="x", upstream="west")
    early = record(served_model="alpha", requested_model="x", upstream="east")
    assert made.of(late, "ok")[2:4] == ("other", "other")
    made.add_names(["gamma"], ["west"])
    assert made.of(late, "ok")[2:4] == ("gamma", "west")
    # A request that began before the reload.
    assert made.of(early, "ok")[2:4] == ("alpha", "east")


@given(st.lists(st.tuples(st.text(), st.text(), st.text(), st.text(min_size=1))))
def test_number_of_series_is_bounded(requests: list[tuple[str, str, str, str]]) -> None:
    of = labels(most_keys=2).of
    series = {
        of(record(served_model=served, requested_model=requested, upstream=up, key=key), "ok")
        for served, requested, up, key in requests
    }
    assert len(series) <= 3 * 3 * 3
