"""GET /v1/models and GET /v1/models/{id}."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from tenuto.core.refusal import Kind, Refusal, invalid
from tenuto.engine.base import Engine
from tenuto.operations.records import RequestRecord
from tenuto.server.auth import Keys
from tenuto.server.responses import JsonResponse
from tenuto.wire.errors import excerpt
from tenuto.wire.field_limits import MOST_NAME_CHARS
from tenuto.wire.names import TEXT_MODELS

_MOST = 1000
_DEFAULT = 20

# The original service's value for an unknown release date.
_EPOCH = "1970-01-01T00:00:00Z"


class ModelEndpoints:
    """The served models, and the model names of Text Completions clients."""

    def __init__(self, engine: Engine, keys: Keys, *, strict: bool) -> None:
        self._engine = engine
        self._keys = keys
        self._strict = strict

    async def list(self, request: Request) -> Response:
        """Return one page: `limit` (1 to 1000, default 20), `after_id` or `before_id`."""
        self._identify(request)
        query = request.query_params
        served = self._engine.capabilities.names()
        names = list(dict.fromkeys([*served, *TEXT_MODELS]))
        limit = _limit(query.get("limit"))
        start, end = 0, len(names)
        if after := query.get("after_id"):
            start = _position(names, after, "after_id") + 1
        if before := query.get("before_id"):
            end = _position(names, before, "before_id")
        # With `before_id`, the page ends just before it.
        page = names[start:end][-limit:] if before else names[start:end][:limit]
        more = len(names[start:end]) > len(page)
        return JsonResponse(
            {
                "data": [_body(name, served) for name in page],
                "has_more": more,
                "first_id": page[0] if page else None,
                "last_id": page[-1] if page else None,
            }
        )

    async def retrieve(self, request: Request) -> Response:
        """Return one model. Without `strict_models` every name is valid, as for completions.

        Raises:
            Refusal: The model is unknown, or its name is too long.
        """
        self._identify(request)
        name = request.path_params["model_id"]
        served = self._engine.capabilities.names()
        if not 1 <= len(name) <= MOST_NAME_CHARS or (
            self._strict and name not in served and name not in TEXT_MODELS
        ):
            raise Refusal(Kind.NOT_FOUND, f"model: {excerpt(name)}")
        return JsonResponse(_body(name, served))

    def _identify(self, request: Request) -> None:
        record: RequestRecord = request.scope["record"]
        record.caller = self._keys.caller(request.scope).id


def _body(name: str, served: tuple[str, ...]) -> dict[str, object]:
    # With several models, the settings choose the one for an unknown name.
    known = name in served or len(served) != 1
    answered = "" if known else f" (answered by {served[0]})"
    return {
        "type": "model",
        "id": name,
        "display_name": name + answered,
        "created_at": _EPOCH,
    }


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT
    # Python refuses to parse integers of thousands of digits, so check the length first.
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_MOST)) else 0
    if not 1 <= limit <= _MOST:
        raise invalid(f"limit: Input should be a number from 1 to {_MOST}")
    return limit


def _position(names: list[str], name: str, field: str) -> int:
    if name not in names:
        raise invalid(f"{field}: there is no model {excerpt(name)!r} in this list")
    return names.index(name)
