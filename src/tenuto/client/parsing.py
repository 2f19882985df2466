"""Parse response bodies into the client's types."""

from __future__ import annotations

import json
from typing import TypeVar

import httpx2
from pydantic import TypeAdapter, ValidationError

from tenuto.client.errors import APIResponseValidationError
from tenuto.client.types import BaseModel

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)


def parse_model(kind: type[ModelT], response: httpx2.Response, strict: bool) -> ModelT:
    """Parse a response that has been read. See `parse_object`."""
    parsed = parse_object(kind, response.content, response, strict)
    private = {"_request_id": response.headers.get("request-id")}
    object.__setattr__(
        parsed, "__pydantic_private__", (parsed.__pydantic_private__ or {}) | private
    )
    return parsed


def parse_object(
    kind: type[ModelT], data: bytes | str, response: httpx2.Response, strict: bool
) -> ModelT:
    """Parse JSON text of a response.

    An object with invalid fields is returned unvalidated unless `strict`, as in the official
    client.

    Raises:
        APIResponseValidationError: The text is not a JSON object, or `strict` and invalid.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        invalid = error
    try:
        fields = json.loads(data)
    except ValueError:
        fields = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    if strict or not isinstance(fields, dict):
        content_type = response.headers.get("content-type", "no content type")
        raise APIResponseValidationError(
            response,
            fields,
            message=f"The response to {response.request.method} {response.request.url} is not a "
            f"valid response of this API ({content_type}). Is `base_url` right?",
        ) from invalid
    return kind.model_construct(**fields)


def parse_as(kind: type[T], response: httpx2.Response) -> T:
    """Parse the body as any type that pydantic supports, `str`, or `httpx2.Response` itself.

    Raises:
        APIResponseValidationError: The body is not of that type.
    """
    if issubclass(kind, httpx2.Response):
        return response  # type: ignore[return-value]
    if kind is str:
        return response.text  # type: ignore[return-value]
    try:
        return TypeAdapter(kind).validate_json(response.content)
    except ValidationError as error:
        raise APIResponseValidationError(response, response.text) from error
