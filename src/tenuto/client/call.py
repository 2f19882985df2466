"""An API call: the parts of its request, and the parsing of its response."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx2
from pydantic import TypeAdapter, ValidationError

from tenuto.client.errors import APIResponseValidationError
from tenuto.client.types import BaseModel, NotGiven, Omit, TimeoutSpec, is_given, not_given

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call. Its headers, query and timeout take precedence over the client's.

    Attributes:
        parse: Converts the response and the flag `strict` to the result. The body has been read
            unless `stream` is set.
        fields: JSON body; None for no body.
        headers: Additional headers; `omit` removes one of the client's.
        stream: Whether the body is read incrementally.
    """

    method: str
    path: str
    parse: Callable[[httpx2.Response, bool], T]
    fields: Mapping[str, object] | None = None
    headers: Mapping[str, str | Omit] | None = None
    query: Mapping[str, object] | None = None
    timeout: TimeoutSpec | NotGiven = not_given
    stream: bool = False

    @property
    def content(self) -> bytes | None:
        if self.fields is None:
            return None
        try:
            text = json.dumps(self.fields, ensure_ascii=False, separators=(",", ":"))
            return text.encode()
        except UnicodeEncodeError:
            # A lone surrogate is valid only as an escape; the server's error names it.
            return json.dumps(self.fields, separators=(",", ":")).encode()


def fields_of(
    arguments: Mapping[str, object], extra: Mapping[str, object] | None
) -> dict[str, Any]:
    """Return the arguments that are not sentinels, updated with `extra`."""
    given = {name: value for name, value in arguments.items() if is_given(value)}
    return given | dict(extra or {})


def headers_of(betas: object, extra: Mapping[str, str | Omit] | None) -> dict[str, str | Omit]:
    """Return the headers of a call: `anthropic-beta`, updated with `extra`."""
    headers: dict[str, str | Omit] = {}
    if isinstance(betas, list | tuple):
        headers["anthropic-beta"] = ",".join(str(beta) for beta in betas)
    return headers | dict(extra or {})


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
