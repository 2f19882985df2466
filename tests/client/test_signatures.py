"""Signatures, help and representations in an interactive session."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import tenuto
from tenuto import AsyncClient, Client
from tests.client.libraries import ASK, OURS, WHOLE, Dual

pytestmark = pytest.mark.anyio

REQUIRED = ["model", "prompt", "max_tokens_to_sample"]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def dual(request: pytest.FixtureRequest) -> Dual:
    return Dual(OURS, awaited=request.param)


def methods(client: Any) -> list[Any]:
    created = [client.completions, client.completions.with_raw_response]
    return [each.create for each in (*created, client.completions.with_streaming_response)]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_signature_of_create_has_required_arguments_first(kind: Any) -> None:
    for create in methods(kind()):
        parameters = inspect.signature(create).parameters
        assert list(parameters)[:3] == REQUIRED
        needed = [n for n, each in parameters.items() if each.default is inspect.Parameter.empty]
        assert needed == REQUIRED
        text = inspect.getdoc(create) or ""
        for name in parameters:
            assert f" {name}: " in text


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_signature_of_a_client_has_its_arguments(kind: Any) -> None:
    parameters = inspect.signature(kind).parameters
    assert {"api_key", "base_url", "engine", "timeout", "http_client"} <= parameters.keys()
    assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in parameters.values())
    for function in (kind.__init__, kind.with_options, kind().models.list, kind().models.retrieve):
        text = inspect.getdoc(function) or ""
        for name in inspect.signature(function).parameters:
            assert name in ("self",) or name.startswith("_") or f" {name}: " in text


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_type_error_of_a_client_has_the_wrong_argument(kind: Any) -> None:
    name = kind.__name__
    with pytest.raises(TypeError, match=rf"^{name}\(\) .* 'timout'; did you mean 'timeout'\?$"):
        kind(timout=5)
    with pytest.raises(TypeError, match=rf"^{name}\(\) takes keyword .*api_key=") as caught:
        kind("sk-secret")
    assert "sk-secret" not in str(caught.value)
    with pytest.raises(TypeError, match="'max_retry'; did you mean 'max_retries'"):
        kind().with_options(max_retry=1)


async def test_type_error_of_a_call_has_the_wrong_argument(dual: Dual) -> None:
    client = dual.client(lambda _: OURS.answer(WHOLE))
    cases = {
        "max_tokens": "did you mean 'max_tokens_to_sample'",
        "stop": "did you mean 'stop_sequences'",
        "seed": "`extra_body`",
    }
    for name, hint in cases.items():
        with pytest.raises(TypeError, match=rf"create\(\) .* {name!r}; .*{hint}"):
            await dual.create(client, **{name: 1})
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'prompt'"):
        await dual.got(client.completions.create(model="m", max_tokens_to_sample=1))
    with pytest.raises(TypeError, match="write model="):
        await dual.got(client.completions.create("Hello"))
    with pytest.raises(TypeError, match="did you mean 'limit'"):
        await dual.items(client.models.list(limi=1))
    with pytest.raises(TypeError, match="missing 1 required"):
        await dual.got(client.models.retrieve())
    assert ASK["model"]


def test_repr_has_the_base_url_and_no_secret() -> None:
    client = Client(base_url="http://user:pass-word@gpu.test:9/api?k=v", api_key="sk-secret")
    assert repr(client) == "Client(base_url='http://gpu.test:9/api/', max_retries=2)"
    assert repr(AsyncClient(engine="echo")) == "AsyncClient(engine='echo', max_retries=2)"


def test_error_classes_have_the_name_of_the_package() -> None:
    assert repr(tenuto.BadRequestError) == "<class 'tenuto.BadRequestError'>"
    assert {getattr(tenuto, n).__module__ for n in tenuto.__all__ if n.endswith("Error")} == {
        "tenuto"
    }
