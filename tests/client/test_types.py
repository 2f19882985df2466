"""Parsing, copying and serialising of results."""

from __future__ import annotations

import copy
import pickle

import httpx2
import pytest

from tenuto.client.call import parse_model
from tenuto.client.errors import APIResponseValidationError
from tenuto.client.types import Completion

REQUEST = httpx2.Request("POST", "http://api.test/v1/complete")


def parse(content: bytes, *, strict: bool = False) -> Completion:
    headers = {"request-id": "req_1", "content-type": "text/html"}
    response = httpx2.Response(200, content=content, headers=headers, request=REQUEST)
    return parse_model(Completion, response, strict)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1]", b'"text"', b"null", b"\xff"])
def test_error_of_a_foreign_response_has_its_content_type(content: bytes) -> None:
    with pytest.raises(APIResponseValidationError, match=r"text/html.*`base_url`") as caught:
        parse(content)
    assert caught.value.status_code == 200


def test_unexpected_types_are_returned_unless_strict() -> None:
    odd = b'{"completion": " Hi", "stop_reason": 7, "model": null}'
    completion = parse(odd)
    odd_fields = {"completion": " Hi", "stop_reason": 7, "model": None}
    assert completion.to_dict(warnings=False) == odd_fields
    assert completion.completion == " Hi"
    with pytest.raises(APIResponseValidationError):
        parse(odd, strict=True)


def test_completion_survives_copying_and_pickling() -> None:
    body = b'{"type":"completion","id":"c","completion":" Hi","model":"m","new":[1]}'
    completion = parse(body)
    for twin in (
        copy.deepcopy(completion),
        completion.model_copy(),
        pickle.loads(pickle.dumps(completion)),
    ):
        assert twin == completion
        assert (twin._request_id, getattr(twin, "new", None)) == ("req_1", [1])
    assert "req_1" not in completion.model_dump_json()
    again = Completion.model_validate_json(completion.to_json())
    assert again.to_dict() == completion.to_dict()
