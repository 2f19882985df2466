"""JSON body -> `CompletionRequest`: every field's rule, in one place.

The rules are those of the API reference of `POST /v1/complete`; the wording of the errors is
that of the service (`field: reason`), with a remedy as a second sentence where one is known.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    StrictStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from tenuto.core.long_text import LongText
from tenuto.core.refusal import invalid
from tenuto.wire.completions.field_limits import MOST_NAME_CHARS, FieldLimits, check_tags
from tenuto.wire.completions.versions import Version
from tenuto.wire.errors import excerpt
from tenuto.wire.json_object import read_object


class Metadata(BaseModel):
    """What the caller says of itself. Never interpreted; kept out of logs."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, frozen=True)

    user_id: Annotated[StrictStr, Field(max_length=MOST_NAME_CHARS)] | None = None


def _check_prompt(value: object, check: ValidatorFunctionWrapHandler) -> object:
    if not isinstance(value, LongText):
        return check(value)
    # The validator's own words for text with half of a surrogate pair.
    return value if value.is_unicode else check("\ud800")


if TYPE_CHECKING:
    PromptText: TypeAlias = str | LongText
else:
    PromptText = Annotated[StrictStr, Field(min_length=1), WrapValidator(_check_prompt)]


class CompletionRequest(BaseModel):
    """A checked request. Whoever holds one need not doubt it.

    Attributes:
        model: The name that was asked for, 1 to 256 characters.
        prompt: The prompt as sent, 1 character or more. Its turns are not checked here. A
            `LongText` if it is longer than `LongBody` gives as a `str`.
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

    model: Annotated[StrictStr, Field(min_length=1, max_length=MOST_NAME_CHARS)]
    prompt: PromptText
    max_tokens_to_sample: Annotated[int, Field(ge=1)]
    # The first wrong item is enough: an error for each would cost more than the request.
    stop_sequences: Annotated[list[Annotated[StrictStr, Field(min_length=1)]], FailFast()] = Field(
        default_factory=list
    )
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
# The fields of `ExtendedRequest`, which is built on this module.
_EXTENSIONS = frozenset({"seed", "logprobs", "echo"})


_DEFAULT_LIMITS = FieldLimits()


def parse_request(
    body: bytes,
    version: Version = Version.V2023_06_01,
    limits: FieldLimits = _DEFAULT_LIMITS,
    kind: type[CompletionRequest] = CompletionRequest,
) -> CompletionRequest:
    """Read a request body.

    Args:
        body: The body's bytes.
        version: The version of the request. In 2023-01-01 it may have `tags`, which were for the
            service's own statistics and change nothing.
        limits: Bounds of the body's nesting and of its fields.
        kind: Which fields it may have.

    Raises:
        Refusal: The body is not a JSON object, or a field breaks its rule. The message
            names the field.
    """
    return check_fields(read_object(body, limits.json_depth), version, limits, kind)


def check_fields(
    fields: dict[str, object],
    version: Version,
    limits: FieldLimits,
    kind: type[CompletionRequest],
) -> CompletionRequest:
    """Check a body that is read already. See `parse_request`.

    Raises:
        Refusal: A field breaks its rule. The message names the field.
    """
    if version is Version.V2023_01_01:
        check_tags(fields.pop("tags", None))
    return check_request(fields, kind, limits)


def check_request(
    fields: Mapping[str, object],
    kind: type[CompletionRequest] = CompletionRequest,
    limits: FieldLimits = _DEFAULT_LIMITS,
) -> CompletionRequest:
    """Check the fields of a request.

    Raises:
        Refusal: A field breaks its rule. The message names the field.
    """
    known = kind.model_fields
    stops = fields.get("stop_sequences")
    if isinstance(stops, list):
        limits.check_count(stops)
    # Only what can be valid is validated, and the first unknown field, so that the validator has
    # few errors to report however many the body has.
    given = {
        name: value
        for name, value in _first_unknown_only(fields, known).items()
        if (value is not None and value != -1) or not (name in known and _says_nothing(name, value))
    }
    if isinstance(given.get("metadata"), Mapping):
        given["metadata"] = _first_unknown_only(given["metadata"], Metadata.model_fields)
    try:
        request = kind.model_validate(given)
    except ValidationError as error:
        raise invalid(_explain(error, fields, known)) from None
    limits.check_stop_sequences(request.stop_sequences)
    return request


def _first_unknown_only(value: Any, known: Mapping[str, object]) -> Any:
    """Return an object's known fields and the first of the others, its name cut for the error."""
    if not isinstance(value, Mapping) or value.keys() <= known.keys():
        return value
    kept = {name: value[name] for name in known if name in value}
    unknown = next(name for name in value if name not in known)
    return kept | {excerpt(unknown): None}


def _says_nothing(name: str, value: object) -> bool:
    """Whether a field says the same as leaving it out: null, and -1 where that once meant off."""
    if value is None:
        return name not in _REQUIRED
    return name in SAMPLING_FIELDS and value == -1


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
    if field in _EXTENSIONS and field in given:
        return "It is an extension: set `extensions = true` in [api] of the server's settings."
    near = difflib.get_close_matches(field, known, n=1)
    return f"Did you mean `{near[0]}`?" if near else None
