"""The document and the code agree."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method

from tenuto.core.refusal import overloaded
from tenuto.engine.echo import EchoEngine
from tenuto.server.app import create_app, routes_of
from tenuto.server.openapi import document
from tenuto.server.shutdown import Shutdown
from tenuto.settings import ApiSettings, ServerSettings, Settings
from tests.server.test_complete import BODY, ScriptedEngine, client_of

DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]


def validate(body: Any, schema: str, document: dict[str, Any] = DOCUMENT) -> None:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    jsonschema.validate(body, whole, cls=jsonschema.Draft202012Validator)


def test_every_route_is_in_the_document() -> None:
    routes = {
        (route.path, route.method.lower())
        for route in routes_of(Settings(), EchoEngine(), Shutdown(), [])
        if route.in_api
    }
    documented = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    assert documented | {("/openapi.json", "get")} == routes


@pytest.mark.anyio
async def test_answers_are_what_the_document_says() -> None:
    async with client_of(EchoEngine()) as client:
        assert (await client.get("/openapi.json")).json() == DOCUMENT
        validate((await client.post("/v1/complete", json=BODY)).json(), "Completion")
        short = await client.post("/v1/complete", json=BODY | {"max_tokens_to_sample": 1})
        validate(short.json(), "Completion")
        validate((await client.get("/v1/models")).json(), "ModelList")
        validate((await client.get("/v1/models/x")).json(), "Model")
        for wrong in (await client.post("/v1/complete"), await client.get("/nowhere")):
            validate(wrong.json(), "Error")
    async with client_of(ScriptedEngine(overloaded("Overloaded"))) as client:
        validate((await client.post("/v1/complete", json=BODY)).json(), "Error")


def test_the_request_of_the_document_is_the_one_that_is_checked() -> None:
    validate(
        BODY | {"stream": True, "stop_sequences": ["x"], "temperature": 1}, "CompletionRequest"
    )
    for wrong in ({"prompt": ""}, {"foo": 1}, {"temperature": 2}, {"stop_sequences": [""]}):
        with pytest.raises(jsonschema.ValidationError):
            validate(BODY | wrong, "CompletionRequest")


class LastingEngine(EchoEngine):
    """Goes on when the application ends, as it does after each request made here."""

    async def aclose(self) -> None:
        pass


# Any prompt, so that not all requests are refused for theirs.
OPEN = Settings(
    server=ServerSettings(allowed_hosts=("testserver",)), api=ApiSettings(lenient_prompts=True)
)
schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(OPEN, LastingEngine()))


@schema.parametrize()
def test_no_request_of_the_document_makes_a_server_error(case: Any) -> None:
    response = case.call()
    assert response.status_code < 500
    case.validate_response(
        response,
        excluded_checks=[
            # What is not in the document is not refused: any header, any query.
            positive_data_acceptance,
            unsupported_method,
        ],
    )
