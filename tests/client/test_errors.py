"""The errors: the official package's names, inheritance and attributes."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import re
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import anthropic
import httpx2
import pytest

import tenuto
from tenuto.client import error_mapping, errors

SHARED = [
    name
    for name in tenuto.__all__
    if name.endswith("Error") and isinstance(getattr(anthropic, name, None), type)
]


def test_error_classes_are_those_of_the_official_package() -> None:
    ours = {name for name in tenuto.__all__ if name.endswith("Error")}
    assert ours - set(SHARED) == {"IncompleteStreamError"}
    theirs = {name for name in anthropic.__all__ if name.endswith("Error")}
    # Of webhooks and of middleware, which Text Completions never had; and two statuses for which
    # the official client has classes, but raises InternalServerError.
    assert theirs - ours == {
        "APIWebhookValidationError",
        "RetryableError",
        "ServiceUnavailableError",
        "DeadlineExceededError",
    }


@pytest.mark.parametrize("name", SHARED)
def test_error_classes_have_the_same_bases(name: str) -> None:
    def line(module: object) -> list[str]:
        return [kind.__name__ for kind in getattr(module, name).__mro__]

    assert line(tenuto) == line(anthropic)


def test_documented_error_tree_is_complete() -> None:
    drawn = re.findall(r"(?:├──|└──|^ {4})\s*(\w+)", errors.__doc__ or "", re.MULTILINE)
    real = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert sorted(drawn) == sorted(real)


SECRETS = ("sk-secret", "a secret prompt", "pass-word")


def every_error() -> list[tenuto.APIError]:
    request = httpx2.Request(
        "POST",
        "http://user:pass-word@api.test/v1/complete",
        headers={"x-api-key": "sk-secret"},
        content=b"a secret prompt",
    )
    body = {"error": {"type": "overloaded_error", "message": "Overloaded"}}
    headers = {"request-id": "req_1", "set-cookie": "sk-secret"}
    response = httpx2.Response(529, json=body, headers=headers, request=request)
    made: list[tenuto.APIError] = [
        tenuto.APIError("message", request, body=body),
        tenuto.APIConnectionError(request=request),
        tenuto.APITimeoutError(request),
        tenuto.IncompleteStreamError(request, text="half", why="it broke."),
        tenuto.APIResponseValidationError(response, body),
    ]
    kinds: list[Any] = [tenuto.APIStatusError, *error_mapping._CLASSES.values()]
    kinds.append(tenuto.InternalServerError)
    return made + [kind("message", response=response, body=body) for kind in kinds]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_error_survives_pickling_and_copying(error: tenuto.APIError, protocol: int) -> None:
    data = pickle.dumps(error, protocol)
    for twin in (pickle.loads(data), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert (str(twin), twin.args, twin.message, twin.body) == (
            *(str(error), error.args, error.message),
            error.body,
        )
        for name in ("status_code", "request_id", "type", "text"):
            assert getattr(twin, name, None) == getattr(error, name, None)
        assert (twin.request.method, twin.request.url.path) == ("POST", "/v1/complete")
    assert not any(secret.encode() in data for secret in SECRETS)


def test_error_without_a_response_survives_pickling_and_copying() -> None:
    error = errors.StreamAlreadyConsumed()
    assert str(pickle.loads(pickle.dumps(error))) == str(copy.copy(error)) == str(error)


class HintedError(tenuto.BadRequestError):
    """Subclass of a user, with one more argument."""

    def __init__(self, message: str, *, response: httpx2.Response, hint: str) -> None:
        super().__init__(message, response=response, body=None)
        self.hint = hint


def test_error_subclass_survives_pickling() -> None:
    request = httpx2.Request("POST", "http://api.test/v1/complete")
    error = HintedError("m", response=httpx2.Response(400, request=request), hint="h")
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), twin.hint, twin.status_code) == (HintedError, "h", 400)


def refuse() -> None:
    with tenuto.Client(engine="echo", max_retries=0) as client:
        client.completions.create(model="m", prompt="no turns", max_tokens_to_sample=1)


def test_error_is_raised_across_processes() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        with pytest.raises(tenuto.BadRequestError, match="must start with") as caught:
            pool.submit(refuse).result(timeout=60)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id is not None
