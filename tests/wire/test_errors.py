"""The error tree and its table: one type and one status each, and the envelope."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.wire import errors
from tenuto.wire.errors import (
    ApiError,
    AuthenticationError,
    BillingError,
    Conflict,
    GatewayTimeout,
    HeadTooLarge,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    PermissionDenied,
    RateLimited,
    RequestTimeout,
    RequestTooLarge,
    error_of,
    for_status,
)

TABLE: list[tuple[type[ApiError], int, str]] = [
    (InvalidRequest, 400, "invalid_request_error"),
    (AuthenticationError, 401, "authentication_error"),
    (BillingError, 402, "billing_error"),
    (PermissionDenied, 403, "permission_error"),
    (NotFound, 404, "not_found_error"),
    (MethodNotAllowed, 405, "invalid_request_error"),
    (RequestTimeout, 408, "invalid_request_error"),
    (Conflict, 409, "conflict_error"),
    (RequestTooLarge, 413, "request_too_large"),
    (RateLimited, 429, "rate_limit_error"),
    (HeadTooLarge, 431, "invalid_request_error"),
    (InternalError, 500, "api_error"),
    (GatewayTimeout, 504, "timeout_error"),
    (Overloaded, 529, "overloaded_error"),
]


@pytest.mark.parametrize(("error", "status", "name"), TABLE)
def test_every_error_has_the_status_and_the_type_of_the_api(
    error: type[ApiError], status: int, name: str
) -> None:
    assert (error.status, error.type) == (status, name)
    assert for_status(status) is error


def test_the_table_is_complete() -> None:
    assert {error for error, _, _ in TABLE} == set(ApiError.__subclasses__())


def test_the_tree_at_the_top_of_the_file_is_the_real_one() -> None:
    drawn = re.findall(r"[├└]── (\w+) +(\d{3}) (\w+)", errors.__doc__ or "")

    assert drawn == [(error.__name__, str(status), name) for error, status, name in TABLE]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (406, InvalidRequest),
        (418, InvalidRequest),
        (499, InvalidRequest),
        (502, InternalError),
        (599, InternalError),
    ],
)
def test_a_status_without_an_error_of_its_own_is_judged_by_whose_fault_it_is(
    status: int, error: type[ApiError]
) -> None:
    assert for_status(status) is error


def test_the_body_is_the_documented_envelope() -> None:
    assert NotFound("model: claude-9").body("req_01") == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "model: claude-9"},
        "request_id": "req_01",
    }


def test_an_error_without_a_request_has_no_request_id() -> None:
    assert Overloaded("Overloaded").body() == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
    }


def test_an_error_may_say_when_to_come_back() -> None:
    assert Overloaded("Overloaded", retry_after=2.5).retry_after == 2.5
    assert Overloaded("Overloaded").retry_after is None


@pytest.mark.parametrize("error", [error for error, _, _ in TABLE])
def test_a_client_reads_the_error_that_the_server_raised(error: type[ApiError]) -> None:
    raised = error("What is wrong.")

    read = error_of(error.status, raised.body("req_01"))

    assert type(read) is error
    assert read.message == "What is wrong."


@pytest.mark.parametrize(
    "error", [error for error, status, _ in TABLE if status not in (405, 408, 431)]
)
def test_a_client_tells_errors_inside_a_stream_by_their_type(error: type[ApiError]) -> None:
    assert type(error_of(None, error("Gone.").body())) is error


def test_a_client_reads_the_first_servers_shape_without_an_outer_type() -> None:
    read = error_of(None, {"error": {"type": "overloaded_error", "message": "Overloaded"}})

    assert type(read) is Overloaded
    assert str(read) == "Overloaded"


def test_an_error_of_a_type_not_known_yet_is_the_servers_fault() -> None:
    read = error_of(None, {"error": {"type": "new_error", "message": "New."}})

    assert type(read) is InternalError
    assert read.message == "New."


def test_an_answer_that_is_no_error_envelope_is_named_by_its_status() -> None:
    read = error_of(502, "<html>Bad Gateway</html>")

    assert type(read) is InternalError
    assert read.message == "the server answered 502"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["error", "type", "message"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.none() | st.integers(400, 599), json_values)
def test_whatever_the_answer_is_it_becomes_an_error_with_words(
    status: int | None, body: object
) -> None:
    read = error_of(status, body)

    assert isinstance(read, ApiError)
    assert isinstance(read.message, str)
