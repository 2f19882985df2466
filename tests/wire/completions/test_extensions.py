"""Fields of extensions, and the responses to them."""

from __future__ import annotations

import pytest

from tenuto.core.job import TokenLogprob, Usage
from tenuto.core.refusal import Kind
from tenuto.wire.completions.extensions import (
    USAGE_HEADERS,
    ExtendedRequest,
    logprobs_body,
    usage_headers,
)
from tenuto.wire.completions.request import CompletionRequest, check_fields
from tenuto.wire.completions.versions import Version
from tests.refusals import refused

SMALLEST = {"model": "any", "prompt": "\n\nHuman: Hi\n\nAssistant:", "max_tokens_to_sample": 1}


def parse(**fields: object) -> ExtendedRequest:
    request = check_fields(SMALLEST | fields, kind=ExtendedRequest)
    assert isinstance(request, ExtendedRequest)
    return request


def test_every_extension_is_parsed() -> None:
    request = parse(seed=2**64 - 1, logprobs=20, echo=True)
    assert (request.seed, request.logprobs, request.echo) == (2**64 - 1, 20, True)


@pytest.mark.parametrize("fields", [{}, {"seed": None, "logprobs": None, "echo": None}])
def test_absent_extensions_have_their_defaults(fields: dict[str, None]) -> None:
    request = parse(**fields)
    assert (request.seed, request.logprobs, request.echo) == (None, None, False)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("seed", -1, "Input should be greater than or equal to 0"),
        ("seed", 2**64, "Input should be less than or equal to"),
        ("seed", 1.5, "Input should be a valid integer"),
        ("seed", True, "Input should be a valid integer"),
        ("logprobs", -1, "Input should be greater than or equal to 0"),
        ("logprobs", 21, "Input should be less than or equal to 20"),
        ("logprobs", True, "Input should be a valid integer"),
        ("echo", 1, "Input should be a valid boolean"),
        ("echos", True, "Extra inputs are not permitted. Did you mean `echo`?"),
    ],
)
def test_invalid_value_is_rejected_by_name(field: str, value: object, reason: str) -> None:
    with refused(Kind.INVALID) as refusal:
        parse(**{field: value})
    assert refusal.value.message.startswith(f"{field}: {reason}")


ADDED = ExtendedRequest.model_fields.keys() - CompletionRequest.model_fields.keys()


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("field", sorted(ADDED))
def test_error_of_a_disabled_extension_names_the_setting(field: str, version: Version) -> None:
    with refused(Kind.INVALID) as refusal:
        check_fields(SMALLEST | {field: 1}, version)
    assert refusal.value.message == (
        f"{field}: Extra inputs are not permitted. It is an extension: set `extensions = true` in "
        "[api] of the server's settings."
    )


def test_tags_are_accepted_in_2023_01_01() -> None:
    fields = SMALLEST | {"tags": {"a": "b"}, "seed": 1}
    request = check_fields(fields, Version.V2023_01_01, kind=ExtendedRequest)
    assert isinstance(request, ExtendedRequest)
    assert request.seed == 1
    with refused(Kind.INVALID, match="tags"):
        check_fields(fields, kind=ExtendedRequest)


def test_logprobs_with_echo_are_rejected() -> None:
    with refused(Kind.INVALID, match="logprobs: with `echo`"):
        parse(logprobs=0, echo=True).check_together()
    parse(logprobs=0).check_together()
    parse(echo=True).check_together()


def test_extended_request_adds_only_the_extensions() -> None:
    added = ExtendedRequest.model_fields.keys() - CompletionRequest.model_fields.keys()
    assert added == {"seed", "logprobs", "echo"}


def test_logprobs_are_lists_of_equal_length() -> None:
    tokens = [TokenLogprob("a", 0, 1, -1.0, {"a": -1.0}), TokenLogprob("b", 1, 2, None)]
    assert logprobs_body(tokens, top=True) == {
        "tokens": ["a", "b"],
        "token_logprobs": [-1.0, None],
        "top_logprobs": [{"a": -1.0}, None],
        "text_offset": [0, 1],
    }
    assert logprobs_body(tokens, top=False)["top_logprobs"] is None
    assert logprobs_body([], top=True)["top_logprobs"] == []


def test_usage_headers_have_the_known_numbers() -> None:
    assert usage_headers(Usage(22, None, 7, 12.345)) == {
        "tenuto-input-tokens": "22",
        "tenuto-output-tokens": "7",
        "tenuto-time-to-first-token-ms": "12.345",
    }
    assert usage_headers(Usage(0, 0, 0, 0.0)).keys() == set(USAGE_HEADERS)
    assert len(USAGE_HEADERS) == 4
