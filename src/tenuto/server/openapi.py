"""GET /openapi.json: a description of the API.

`openapi.json` beside this module holds what is fixed. The request and the errors are added from the
types that implement them.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tenuto.version import __version__
from tenuto.wire.completions.extensions import USAGE_HEADERS, ExtendedRequest
from tenuto.wire.completions.field_limits import MOST_TAGS
from tenuto.wire.completions.request import SAMPLING_FIELDS, CompletionRequest
from tenuto.wire.errors import types_by_status

_SCHEMAS = "#/components/schemas/"


def openapi(extensions: bool) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint; `extensions` is the setting of this name."""

    async def endpoint(request: Request) -> Response:
        return JSONResponse(document(extensions))

    return endpoint


def document(extensions: bool = False) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document, with the fields of extensions or without."""
    text = resources.files("tenuto.server").joinpath("openapi.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    document["info"]["version"] = __version__
    components = document["components"]
    types = types_by_status()
    components["responses"] |= {str(status): _error(name) for status, name in types.items()}
    error = components["schemas"]["Error"]["properties"]["error"]
    error["properties"]["type"] = {"enum": sorted(set(types.values()))}
    components["schemas"] |= _request_schemas(extensions)
    if not extensions:
        del components["schemas"]["Completion"]["properties"]["logprobs"]
        for name in USAGE_HEADERS:
            del document["paths"]["/v1/complete"]["post"]["responses"]["200"]["headers"][name]
    return document


def _request_schemas(extensions: bool) -> dict[str, Any]:
    """Return the schemas of a request, with the values that are accepted for an absent field."""
    kind = ExtendedRequest if extensions else CompletionRequest
    request = kind.model_json_schema(ref_template=_SCHEMAS + "{model}")
    inner = request.pop("$defs", {})
    for name, schema in request["properties"].items():
        if name not in request["required"]:
            off = [{"const": -1}] if name in SAMPLING_FIELDS else []
            request["properties"][name] = {"anyOf": [schema, {"type": "null"}, *off]}
    request["properties"]["tags"] = {
        "type": ["object", "null"],
        "additionalProperties": {"type": "string"},
        "maxProperties": MOST_TAGS,
        "description": "In version 2023-01-01 only; no effect.",
    }
    request["title"] = "CompletionRequest"
    return {**inner, "CompletionRequest": request}


def _error(name: str) -> dict[str, Any]:
    return {
        "description": name,
        "headers": {"request-id": {"$ref": "#/components/headers/request-id"}},
        "content": {"application/json": {"schema": {"$ref": _SCHEMAS + "Error"}}},
    }
