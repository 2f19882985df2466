"""GET /openapi.json: the API, described by the types that implement it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tenuto.version import __version__
from tenuto.wire.completions.extensions import USAGE_HEADERS, ExtendedRequest
from tenuto.wire.completions.field_limits import MOST_TAGS
from tenuto.wire.completions.request import SAMPLING_FIELDS, CompletionRequest
from tenuto.wire.completions.versions import spoken_versions
from tenuto.wire.errors import types_by_status

_SCHEMAS = "#/components/schemas/"


def openapi(extensions: bool) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint; `extensions` is the setting of this name."""

    async def endpoint(request: Request) -> Response:
        return JSONResponse(document(extensions))

    return endpoint


def document(extensions: bool = False) -> dict[str, Any]:
    """The OpenAPI 3.1 document, with the fields of extensions or without."""
    kind = ExtendedRequest if extensions else CompletionRequest
    asked = kind.model_json_schema(ref_template=_SCHEMAS + "{model}")
    asked["title"] = CompletionRequest.__name__
    schemas = asked.pop("$defs", {})
    asked["properties"] = _as_accepted(asked["properties"], asked["required"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Text Completions",
            "version": __version__,
            "description": "The legacy Text Completions API, served by Tenuto.",
        },
        "paths": {
            "/v1/complete": {"post": _complete(extensions)},
            "/v1/models": {"get": _models()},
            "/v1/models/{model_id}": {"get": _model()},
            "/health": {"get": _watch("Whether the server is alive")},
            "/ready": {"get": _watch("Whether the model is loaded", other="503")},
        },
        "components": {
            "schemas": {
                **schemas,
                "CompletionRequest": asked,
                "Completion": _completion(extensions),
                "Model": _MODEL,
                "ModelList": _MODEL_LIST,
                "Error": _error(),
            },
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        # The empty one: a server without keys asks for none.
        "security": [{}, {"key": []}, {"bearer": []}],
    }


def _as_accepted(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """What is read before the types see it: null, -1, and the `tags` of 2023-01-01."""
    accepted = {}
    for name, schema in properties.items():
        accepted[name] = schema
        if name not in required:
            others = [{"type": "null"}, *([{"const": -1}] if name in SAMPLING_FIELDS else [])]
            accepted[name] = {"anyOf": [schema, *others]}
    tags = {"type": ["object", "null"], "additionalProperties": _TEXT, "maxProperties": MOST_TAGS}
    return accepted | {"tags": tags | {"description": "In version 2023-01-01 only; no effect."}}


def _complete(extensions: bool) -> dict[str, Any]:
    return {
        "operationId": "complete",
        "summary": "Complete a prompt",
        "parameters": [
            {
                "name": "anthropic-version",
                "in": "header",
                "required": True,
                "schema": {"type": "string", "enum": spoken_versions()},
            },
            {
                "name": "anthropic-beta",
                "in": "header",
                "description": "Names with commas; none changes this endpoint.",
                "schema": {"type": "string"},
            },
        ],
        "requestBody": {"required": True, "content": _json("CompletionRequest")},
        "responses": {
            "200": {
                "description": "The completion, or its events with `stream`.",
                "headers": _headers() | (_usage_headers() if extensions else {}),
                "content": {
                    **_json("Completion"),
                    "text/event-stream": {"schema": _EVENT},
                },
            },
            **_errors(400, 401, 403, 404, 408, 413, 431, 500, 529),
        },
    }


def _models() -> dict[str, Any]:
    names = ("after_id", "before_id")
    return {
        "operationId": "listModels",
        "summary": "List the models",
        "parameters": [
            {
                "name": "limit",
                "in": "query",
                "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20},
            },
            *({"name": name, "in": "query", "schema": {"type": "string"}} for name in names),
        ],
        "responses": {
            "200": {
                "description": "One page.",
                "headers": _headers(),
                "content": _json("ModelList"),
            },
            **_errors(400, 401, 403, 431),
        },
    }


def _model() -> dict[str, Any]:
    return {
        "operationId": "retrieveModel",
        "summary": "Look a model up",
        "parameters": [
            {
                "name": "model_id",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
            }
        ],
        "responses": {
            "200": {"description": "It.", "headers": _headers(), "content": _json("Model")},
            **_errors(401, 403, 404, 431),
        },
    }


def _watch(summary: str, other: str | None = None) -> dict[str, Any]:
    answer = {
        "description": summary,
        "headers": _headers(),
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
    responses = {"200": answer, **({other: answer} if other else {}), **_errors(403, 431)}
    return {"summary": summary, "security": [{}], "responses": responses}


def _errors(*statuses: int) -> dict[str, Any]:
    by_status = types_by_status()
    return {
        str(status): {
            "description": by_status[status],
            "headers": _headers(),
            "content": _json("Error"),
        }
        for status in statuses
    }


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _SCHEMAS + schema}}}


def _usage_headers() -> dict[str, Any]:
    told = "Without `stream`, where it is known."
    return {
        name: {"description": told, "schema": {"type": "number" if "time" in name else "integer"}}
        for name in USAGE_HEADERS
    }


def _headers() -> dict[str, Any]:
    return {"request-id": {"required": True, "schema": {"type": "string"}}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_TEXT: dict[str, Any] = {"type": "string"}
_MAYBE_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_COMPLETION = _object(
    {
        "type": {"const": "completion"},
        "id": {"type": "string", "pattern": "^compl_"},
        "completion": _TEXT,
        "stop_reason": {"enum": ["stop_sequence", "max_tokens"]},
        "model": _TEXT,
        "stop": _MAYBE_TEXT,
        "log_id": _TEXT,
    }
)
# The lists of `Logprobs`.
_LOGPROBS = _object(
    {
        "tokens": {"type": "array", "items": _TEXT},
        "token_logprobs": {"type": "array", "items": {"type": ["number", "null"]}},
        "top_logprobs": {
            "type": ["array", "null"],
            "items": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
        },
        "text_offset": {"type": "array", "items": {"type": "integer"}},
    }
)


def _completion(extensions: bool) -> dict[str, Any]:
    if not extensions:
        return _COMPLETION
    told = {"logprobs": _LOGPROBS | {"description": "Where the request asks for them."}}
    return _COMPLETION | {"properties": _COMPLETION["properties"] | told}


# Each event of a stream. `data` holds JSON, or `[DONE]` in version 2023-01-01, where text has no
# event name, which readers take for `message`.
_EVENT: dict[str, Any] = {
    "type": "object",
    "properties": {"event": {"enum": ["completion", "message", "ping", "error"]}, "data": _TEXT},
    "required": ["data"],
}
_MODEL = _object(
    {
        "type": {"const": "model"},
        "id": _TEXT,
        "display_name": _TEXT,
        "created_at": {"type": "string", "format": "date-time"},
    }
)
_MODEL_LIST = _object(
    {
        "data": {"type": "array", "items": {"$ref": _SCHEMAS + "Model"}},
        "has_more": {"type": "boolean"},
        "first_id": _MAYBE_TEXT,
        "last_id": _MAYBE_TEXT,
    }
)


def _error() -> dict[str, Any]:
    types = sorted(set(types_by_status().values()))
    return _object(
        {
            "type": {"const": "error"},
            "error": _object({"type": {"enum": types}, "message": _TEXT}),
            "request_id": {"type": "string", "pattern": "^req_"},
        }
    )
