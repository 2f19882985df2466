"""JSON body -> `CompletionRequest`: every field's rule, in one place.

The rules are those of the API reference of `POST /v1/complete`; the wording of the errors is
that of the service (`field: reason`), with a remedy as a second sentence where one is known.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, NoReturn

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from tenuto.wire.errors import InvalidRequest
from tenuto.wire.versions import Version


class Metadata(BaseModel):
    """What the caller says of itself. Never interpreted; kept out of logs."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, frozen=True)

    user_id: Annotated[StrictStr, Field(max_length=256)] | None = None


class CompletionRequest(BaseModel):
    """A checked request. Whoever holds one need not doubt it.

    Attributes:
        model: The name that was asked for, 1 character or more.
        prompt: The prompt as sent, 1 character or more. Its turns are not checked here.
        max_tokens_to_sample: Most tokens to generate, 1 or more. More than the model can give
            is not an error: it is capped.
        stop_sequences: Texts that end the completion, none of them empty. The built-in stop
            sequence is not in it.
        temperature: 0 (always the likeliest token) to 1. Absent or -1: 1.
        top_p: 0 to 1, the share of probability to sample from. Absent or -1: off.
        top_k: How many of the likeliest tokens to sample from. 0, -1 or absent: off.
        metadata: What the caller says of itself.
        stream: Whether to answer with server-sent events.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: Annotated[StrictStr, Field(min_length=1)]
    prompt: Annotated[StrictStr, Field(min_length=1)]
    max_tokens_to_sample: Annotated[int, Field(ge=1)]
    stop_sequences: list[Annotated[StrictStr, Field(min_length=1)]] = []
    temperature: Annotated[float, Field(ge=0, le=1)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    metadata: Metadata | None = None
    stream: bool = False


_REQUIRED = frozenset({"model", "prompt", "max_tokens_to_sample"})

SAMPLING_FIELDS = frozenset({"temperature", "top_p", "top_k"})

# What people write who have another API in mind.
_MEANT = {
    "max_tokens": "max_tokens_to_sample",
    "max_new_tokens": "max_tokens_to_sample",
    "maxTokens": "max_tokens_to_sample",
    "stop": "stop_sequences",
    "user": "metadata",
}
_OF_MESSAGES = frozenset({"messages", "system", "tools", "thinking"})


def parse_request(
    body: bytes,
    version: Version = Version.V2023_06_01,
    max_depth: int = 32,
    kind: type[CompletionRequest] = CompletionRequest,
) -> CompletionRequest:
    """Reads a request body.

    Args:
        body: The body's bytes.
        version: The version of the request. In 2023-01-01 it may have `tags`, which were for the
            service's own statistics and change nothing.
        max_depth: Deepest nesting that is read on.
        kind: Which fields it may have.

    Raises:
        InvalidRequest: The body is not a JSON object, or a field breaks its rule. The message
            names the field.
    """
    fields = _read_object(body)
    if _deeper_than(max_depth, fields):
        raise InvalidRequest(f"The request body is nested more than {max_depth} levels deep")
    if version is Version.V2023_01_01:
        _check_tags(fields.pop("tags", None))
    return check_request(fields, kind)


def check_request(
    fields: Mapping[str, object],
    kind: type[CompletionRequest] = CompletionRequest,
) -> CompletionRequest:
    """Checks the fields of a request.

    Raises:
        InvalidRequest: A field breaks its rule. The message names the field.
    """
    given = {name: value for name, value in fields.items() if not _says_nothing(name, value)}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise InvalidRequest(_explain(error, given, kind.model_fields)) from None


def _says_nothing(name: str, value: object) -> bool:
    """Whether a field says the same as leaving it out: null, and -1 where that once meant off."""
    if value is None:
        return name not in _REQUIRED
    return name in SAMPLING_FIELDS and value == -1


def _deeper_than(levels: int, value: object) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return False
    return True


def _check_tags(tags: object) -> None:
    if tags is None:
        return
    # The keys of a JSON object are texts anyway.
    if not isinstance(tags, dict) or not all(isinstance(text, str) for text in tags.values()):
        raise InvalidRequest("tags: Input should be an object of texts")


def _read_object(body: bytes) -> dict[str, object]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"The request body is not valid JSON: invalid UTF-8 at byte {error.start}"
        ) from None
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidRequest("The request body is not valid JSON: nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequest("The request body must be a JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _explain(error: ValidationError, given: Mapping[str, object], known: Iterable[str]) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    reason = first["msg"]
    message = f"{field}: {reason}" if field else reason
    remedy = _remedy(first["type"], str(first["loc"][-1]) if first["loc"] else "", given, known)
    return f"{message}. {remedy}" if remedy else message


def _remedy(kind: str, field: str, given: Mapping[str, object], known: Iterable[str]) -> str | None:
    if kind == "missing":
        slips = [name for name, meant in _MEANT.items() if meant == field and name in given]
        if slips:
            return f"`{slips[0]}` belongs to another API; this one calls it `{field}`."
        if field == "prompt" and "messages" in given:
            return "This is the Text Completions API; `messages` belongs to POST /v1/messages."
        return None
    if kind != "extra_forbidden":
        return None
    if field in _MEANT:
        return f"This API calls it `{_MEANT[field]}`."
    if field in _OF_MESSAGES:
        return f"`{field}` belongs to POST /v1/messages; here it is part of the prompt."
    near = difflib.get_close_matches(field, known, n=1)
    return f"Did you mean `{near[0]}`?" if near else None
