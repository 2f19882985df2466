"""The table of kinds: one status and one type each, and the envelope."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.refusal import Kind, Refusal
from tenuto.wire.errors import error_body, kind_of_status, refusal_of, status_of, type_of

TABLE: list[tuple[Kind, int, str]] = [
    (Kind.INVALID, 400, "invalid_request_error"),
    (Kind.TOO_LONG, 400, "invalid_request_error"),
    (Kind.UNSUPPORTED, 400, "invalid_request_error"),
    (Kind.UNAUTHENTICATED, 401, "authentication_error"),
    (Kind.BILLING, 402, "billing_error"),
    (Kind.FORBIDDEN, 403, "permission_error"),
    (Kind.NOT_FOUND, 404, "not_found_error"),
    (Kind.METHOD_NOT_ALLOWED, 405, "invalid_request_error"),
    (Kind.TOO_SLOW, 408, "invalid_request_error"),
    (Kind.CONFLICT, 409, "conflict_error"),
    (Kind.TOO_LARGE, 413, "request_too_large"),
    (Kind.KEY_REUSED, 422, "invalid_request_error"),
    (Kind.RATE_LIMITED, 429, "rate_limit_error"),
    (Kind.HEAD_TOO_LARGE, 431, "invalid_request_error"),
    (Kind.FAILED, 500, "api_error"),
    (Kind.TIMEOUT, 504, "timeout_error"),
    (Kind.OVERLOADED, 529, "overloaded_error"),
]


@pytest.mark.parametrize(("kind", "status", "name"), TABLE)
def test_every_kind_has_the_status_and_the_type_of_the_api(
    kind: Kind, status: int, name: str
) -> None:
    assert (status_of(kind), type_of(kind)) == (status, name)


def test_the_table_is_complete() -> None:
    assert [kind for kind, _, _ in TABLE] == list(Kind)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *(
            (status, kind)
            for kind, status, _ in TABLE
            if kind not in (Kind.TOO_LONG, Kind.UNSUPPORTED)
        ),
        (406, Kind.INVALID),
        (418, Kind.INVALID),
        (499, Kind.INVALID),
        (502, Kind.FAILED),
        (599, Kind.FAILED),
    ],
)
def test_other_status_is_a_client_or_server_error(status: int, kind: Kind) -> None:
    assert kind_of_status(status) is kind


def test_the_body_is_the_documented_envelope() -> None:
    assert error_body(Refusal(Kind.NOT_FOUND, "model: claude-9"), "req_01") == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "model: claude-9"},
        "request_id": "req_01",
    }


def test_an_error_without_a_request_has_no_request_id() -> None:
    assert error_body(Refusal(Kind.OVERLOADED, "Overloaded")) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
    }


@pytest.mark.parametrize(("kind", "status", "name"), TABLE)
def test_error_body_is_read_back_as_the_same_error(kind: Kind, status: int, name: str) -> None:
    read = refusal_of(status, error_body(Refusal(kind, "What is wrong."), "req_01"))
    assert (type_of(read.kind), status_of(read.kind)) == (name, status)
    assert read.message == "What is wrong."


@pytest.mark.parametrize("kind", Kind)
def test_error_inside_a_stream_is_classified_by_its_type(kind: Kind) -> None:
    read = refusal_of(None, error_body(Refusal(kind, "Gone.")))
    assert type_of(read.kind) == type_of(kind)


def test_error_body_without_an_outer_type_is_read() -> None:
    read = refusal_of(None, {"error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert (read.kind, str(read)) == (Kind.OVERLOADED, "Overloaded")


def test_error_of_an_unknown_type_is_a_server_error() -> None:
    read = refusal_of(None, {"error": {"type": "new_error", "message": "New."}})
    assert (read.kind, read.message) == (Kind.FAILED, "New.")


def test_error_without_an_envelope_has_the_status_in_its_message() -> None:
    read = refusal_of(502, "<html>Bad Gateway</html>")
    assert (read.kind, read.message) == (Kind.FAILED, "the server answered 502")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["error", "type", "message"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.none() | st.integers(400, 599), json_values)
def test_any_response_becomes_an_error_with_a_message(status: int | None, body: object) -> None:
    assert isinstance(refusal_of(status, body).message, str)
