"""One call of the API, before anything is sent: what to send, and how to read the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx2
from pydantic import TypeAdapter, ValidationError

from tenuto.client.errors import APIResponseValidationError
from tenuto.client.given import NotGiven, Omit, is_given, not_given
from tenuto.client.types import BaseModel, TimeoutSpec

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call.

    Attributes:
        method: Of the request.
        path: Below the base URL.
        parse: Makes the result of a response: one that was read whole, or with `stream` one
            whose body is still to come. Told whether to be strict.
        fields: The JSON body, None for none.
        headers: On top of the client's.
        query: On top of the client's.
        timeout: Instead of the client's.
        stream: Whether the body is read piece by piece.
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
        """The body, as it is sent."""
        if self.fields is None:
            return None
        try:
            text = json.dumps(self.fields, ensure_ascii=False, separators=(",", ":"))
            return text.encode()
        except UnicodeEncodeError:
            # Half a surrogate pair: as an escape it arrives, and the server's error names it.
            return json.dumps(self.fields, separators=(",", ":")).encode()


def fields_of(
    arguments: Mapping[str, object], extra: Mapping[str, object] | None
) -> dict[str, Any]:
    """The arguments that were given, and `extra_body` over them."""
    given = {name: value for name, value in arguments.items() if is_given(value)}
    return given | dict(extra or {})


def headers_of(betas: object, extra: Mapping[str, str | Omit] | None) -> dict[str, str | Omit]:
    """The headers of a call: `anthropic-beta`, and `extra_headers` over it."""
    headers: dict[str, str | Omit] = {}
    if is_given(betas) and isinstance(betas, list | tuple):
        headers["anthropic-beta"] = ",".join(str(beta) for beta in betas)
    return headers | dict(extra or {})


def parse_model(kind: type[ModelT], response: httpx2.Response, strict: bool) -> ModelT:
    """The object in a response that was read whole.

    As with the official client, an object whose fields are not as they should be is given to the
    caller all the same, unless `strict`.

    Raises:
        APIResponseValidationError: It is no JSON object.
    """
    parsed = parse_object(kind, response.content, response, strict)
    private = {"_request_id": response.headers.get("request-id")}
    object.__setattr__(
        parsed, "__pydantic_private__", (parsed.__pydantic_private__ or {}) | private
    )
    return parsed


def parse_object(
    kind: type[ModelT], data: bytes | str, response: httpx2.Response, strict: bool
) -> ModelT:
    """The object in some JSON text of a response. See `parse_model`."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        wrong = error
    try:
        fields = json.loads(data)
    except ValueError:
        fields = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    if strict or not isinstance(fields, dict):
        kind_of_body = response.headers.get("content-type", "no content type")
        raise APIResponseValidationError(
            response,
            fields,
            message=f"The server's answer to {response.request.method} {response.request.url} is "
            f"not what this API answers ({kind_of_body}). Is `base_url` right?",
        ) from wrong
    return kind.model_construct(**fields)


def parse_as(kind: type[T], response: httpx2.Response) -> T:
    """The body of a response as any type that pydantic knows, `str`, or the response itself.

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
