"""Types of arguments and results, and the defaults of arguments.

The values of an argument that was left out are two, as in the official package: `not_given`,
formerly `NOT_GIVEN`, and `omit`, which also removes a default header. `None` is sent as `null`, and
a timeout of `None` means no limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar, Final, Literal, Required, TypeAlias, TypedDict

import httpx2
from httpx2 import Timeout as Timeout
from pydantic import BaseModel as PydanticModel
from pydantic import ConfigDict

from tenuto.wire.names import MessagesModel, TextModel


class NotGiven:
    """The type of `not_given`, which is falsy."""

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "NOT_GIVEN"


class Omit:
    """The type of `omit`: leave out a field or a header."""

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "omit"


not_given: Final = NotGiven()
NOT_GIVEN: Final = not_given
omit: Final = Omit()


def is_given(value: object) -> bool:
    """Return whether a value is neither of the two sentinels."""
    return not isinstance(value, NotGiven | Omit)


DEFAULT_BASE_URL: Final = "http://127.0.0.1:8000"
"""Default address of `tenuto serve`."""

DEFAULT_TIMEOUT: Final = httpx2.Timeout(600.0, connect=5.0)
DEFAULT_MAX_RETRIES: Final = 2
DEFAULT_CONNECTION_LIMITS: Final = httpx2.Limits(
    max_connections=1000, max_keepalive_connections=100
)

TimeoutSpec: TypeAlias = float | httpx2.Timeout | None

Model: TypeAlias = TextModel | MessagesModel | str
"""Any name; those that the service published are listed for completion in editors."""

AnthropicBeta: TypeAlias = str
"""A value of the header `anthropic-beta`. Every name is accepted, and none changes this API."""

Betas: TypeAlias = list[AnthropicBeta] | Omit | NotGiven
"""The argument `betas`."""


class MetadataParam(TypedDict, total=False):
    """Identifies the end user of a request.

    Attributes:
        user_id: Opaque identifier of up to 256 characters, without personal data such as names,
            addresses or phone numbers.
    """

    user_id: str | None


class RequestOptions(TypedDict, total=False):
    """Arguments of every call. See `Completions.create`."""

    betas: Betas
    extra_headers: Mapping[str, str | Omit] | None
    extra_query: Mapping[str, object] | None
    extra_body: Mapping[str, object] | None
    timeout: TimeoutSpec | NotGiven


class CompletionParams(RequestOptions, total=False):
    """Arguments of `completions.create` other than `stream`."""

    model: Required[Model]
    prompt: Required[str]
    max_tokens_to_sample: Required[int]
    stop_sequences: Iterable[str] | Omit | NotGiven
    temperature: float | Omit | NotGiven
    top_k: int | Omit | NotGiven
    top_p: float | Omit | NotGiven
    metadata: MetadataParam | Omit | NotGiven


class CompletionCreateParamsNonStreaming(CompletionParams, total=False):
    """All arguments of `completions.create` without streaming."""

    stream: Literal[False] | Omit | NotGiven


class CompletionCreateParamsStreaming(CompletionParams, total=False):
    """All arguments of `completions.create` with streaming."""

    stream: Required[Literal[True]]


CompletionCreateParams: TypeAlias = (
    CompletionCreateParamsNonStreaming | CompletionCreateParamsStreaming
)


class BaseModel(PydanticModel):
    """An object of the API. Unknown fields are kept, as attributes too."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", protected_namespaces=())

    @property
    def _request_id(self) -> str | None:
        """The server's id of the request, as in its log; None on the items of a stream."""
        return (self.__pydantic_private__ or {}).get("_request_id")

    def to_dict(
        self,
        *,
        mode: Literal["json", "python"] = "python",
        use_api_names: bool = True,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool = True,
    ) -> dict[str, object]:
        """Return the fields that the server sent. Takes the arguments of `model_dump`."""
        return self.model_dump(
            mode=mode,
            by_alias=use_api_names,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
            warnings=warnings,
        )

    def to_json(
        self,
        *,
        indent: int | None = 2,
        use_api_names: bool = True,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool = True,
    ) -> str:
        """Return the same as JSON text. Takes the arguments of `model_dump_json`."""
        return self.model_dump_json(
            indent=indent,
            by_alias=use_api_names,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
            warnings=warnings,
        )

    def __str__(self) -> str:
        return repr(self)


class Completion(BaseModel):
    r"""A completion, or a piece of one in a stream.

    Attributes:
        id: Id of the completion, equal in all its pieces.
        completion: The text before the stop sequence; it usually begins with a space. In a
            stream, the text since the previous piece.
        model: Name of the model that generated the text.
        stop_reason: `max_tokens`, or `stop_sequence`, also at the natural end of a turn; None in
            all pieces of a stream but the last.
        stop: The stop sequence that ended the text, `\n\nHuman:` at the end of a turn.
        log_id: Equal to `id`.
    """

    id: str
    completion: str
    model: str
    stop_reason: str | None = None
    type: Literal["completion"]
    stop: str | None = None
    log_id: str | None = None


class ModelInfo(BaseModel):
    """A model of the server.

    Attributes:
        id: Name in requests.
        display_name: Human-readable name.
        created_at: Time of publication.
    """

    id: str
    display_name: str
    created_at: datetime
    type: Literal["model"]
