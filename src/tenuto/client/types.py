"""What goes into a call and what comes back, as types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar, Literal, Required, TypeAlias, TypedDict

import httpx2
from pydantic import BaseModel as PydanticModel
from pydantic import ConfigDict

from tenuto.client.given import NotGiven, Omit
from tenuto.wire.names import MessagesModel, TextModel

TimeoutSpec: TypeAlias = float | httpx2.Timeout | None

Model: TypeAlias = TextModel | MessagesModel | str
"""A name that the service published, or any other."""

AnthropicBeta: TypeAlias = str
"""A name for the header `anthropic-beta`. Every name is accepted, and none changes this API."""


class MetadataParam(TypedDict, total=False):
    """Who asks.

    Attributes:
        user_id: An opaque name of the user, at most 256 characters; no name, address or number
            of a person.
    """

    user_id: str | None


class RequestOptions(TypedDict, total=False):
    """What every call takes besides its own fields.

    Attributes:
        betas: Names for the header `anthropic-beta`.
        extra_headers: Headers on top of the client's; `omit` takes one away.
        extra_query: Parameters for the URL.
        extra_body: Fields for the JSON body; they win over the arguments.
        timeout: Seconds, an `httpx2.Timeout`, or None for no limit; else that of the client.
    """

    betas: list[AnthropicBeta] | Omit | NotGiven
    extra_headers: Mapping[str, str | Omit] | None
    extra_query: Mapping[str, object] | None
    extra_body: Mapping[str, object] | None
    timeout: TimeoutSpec | NotGiven


class CompletionParams(TypedDict, total=False):
    r"""The arguments of `completions.create`, besides `stream`.

    Attributes:
        model: Who completes the prompt.
        prompt: `\n\nHuman: …\n\nAssistant:`, from `HUMAN_PROMPT` and `AI_PROMPT`.
        max_tokens_to_sample: Most tokens to write, 1 or more.
        stop_sequences: Texts before which the completion ends, besides `\n\nHuman:`.
        temperature: 0 (the likeliest tokens) to 1, the default.
        top_k: Sample from so many tokens only, 0 or more.
        top_p: Sample from this much probability only, 0 to 1.
        metadata: Who asks.
        betas: See `RequestOptions`, also for those that follow.
    """

    model: Required[Model]
    prompt: Required[str]
    max_tokens_to_sample: Required[int]
    stop_sequences: Iterable[str] | Omit | NotGiven
    temperature: float | Omit | NotGiven
    top_k: int | Omit | NotGiven
    top_p: float | Omit | NotGiven
    metadata: MetadataParam | Omit | NotGiven
    betas: list[AnthropicBeta] | Omit | NotGiven
    extra_headers: Mapping[str, str | Omit] | None
    extra_query: Mapping[str, object] | None
    extra_body: Mapping[str, object] | None
    timeout: TimeoutSpec | NotGiven


class CompletionCreateParamsNonStreaming(CompletionParams, total=False):
    """All arguments of a call that does not stream."""

    stream: Literal[False] | Omit | NotGiven


class CompletionCreateParamsStreaming(CompletionParams, total=False):
    """All arguments of a call that streams."""

    stream: Required[Literal[True]]


CompletionCreateParams: TypeAlias = (
    CompletionCreateParamsNonStreaming | CompletionCreateParamsStreaming
)


class BaseModel(PydanticModel):
    """An object of the API. Fields that are not known here are kept, as attributes too."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", protected_namespaces=())

    @property
    def _request_id(self) -> str | None:
        """What the server calls the request that this came from, for its log.

        Set on what a call returns; None on the items of a stream.
        """
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
        """The fields that the server sent. The arguments are those of `model_dump`."""
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
        """The same as JSON text. The arguments are those of `model_dump_json`."""
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
    r"""A completion, or in a stream a piece of one.

    Attributes:
        id: Of the completion, the same in all its pieces.
        completion: The text up to the stop sequence, which it does not hold; it usually begins
            with a space. In a stream, what is new since the piece before.
        model: Who wrote it.
        stop_reason: `stop_sequence`, also when the model ended its turn by itself, or
            `max_tokens`; None in all pieces of a stream but the last.
        type: Always `completion`.
        stop: The stop sequence that ended the text, `\n\nHuman:` at the end of a turn.
        log_id: The same as `id`.
    """

    id: str
    completion: str
    model: str
    stop_reason: str | None = None
    type: Literal["completion"]
    stop: str | None = None
    log_id: str | None = None


class ModelInfo(BaseModel):
    """A model that the server has.

    Attributes:
        id: Its name in requests.
        display_name: Its name for people.
        created_at: When it was published.
        type: Always `model`.
    """

    id: str
    display_name: str
    created_at: datetime
    type: Literal["model"]
