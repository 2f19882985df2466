"""The calls that there are: arguments in, a `Call` out. Both clients make them here.

The functions are named as the methods are, so that a wrong argument is an error of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2

from tenuto.client.call import Call, fields_of, headers_of, parse_model
from tenuto.client.given import NotGiven, Omit, not_given, omit
from tenuto.client.pages import BasePage
from tenuto.client.types import Completion, ModelInfo, TimeoutSpec

StreamT = TypeVar("StreamT")
PageT = TypeVar("PageT", bound=BasePage)


def create(
    stream_of: Callable[[httpx2.Response, bool], StreamT],
    *,
    model: str,
    prompt: str,
    max_tokens_to_sample: int,
    stop_sequences: Iterable[str] | Omit | NotGiven = omit,
    temperature: float | Omit | NotGiven = omit,
    top_k: int | Omit | NotGiven = omit,
    top_p: float | Omit | NotGiven = omit,
    metadata: Mapping[str, object] | Omit | NotGiven = omit,
    stream: bool | Omit | NotGiven = omit,
    betas: list[str] | Omit | NotGiven = omit,
    extra_headers: Mapping[str, str | Omit] | None = None,
    extra_query: Mapping[str, object] | None = None,
    extra_body: Mapping[str, object] | None = None,
    timeout: TimeoutSpec | NotGiven = not_given,
) -> Call[Completion | StreamT]:
    """`completions.create`, with the arguments of `CompletionParams`.

    Nothing is checked here that the server checks: it knows its limits. `stream_of` makes the
    stream of a response.
    """
    # A tuple or a set becomes a list; a lone text stays one, and the server says so.
    if isinstance(stop_sequences, Iterable) and not isinstance(stop_sequences, str):
        stop_sequences = list(stop_sequences)
    fields = fields_of(
        {
            "model": model,
            "prompt": prompt,
            "max_tokens_to_sample": max_tokens_to_sample,
            "stop_sequences": stop_sequences,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "metadata": metadata,
            "stream": stream,
        },
        extra_body,
    )
    streams = bool(stream)
    return Call(
        method="POST",
        path="/v1/complete",
        parse=stream_of if streams else completion_of,
        fields=fields,
        headers=headers_of(betas, extra_headers),
        query=extra_query,
        timeout=timeout,
        stream=streams,
    )


def retrieve(
    model_id: str,
    *,
    betas: list[str] | Omit | NotGiven = omit,
    extra_headers: Mapping[str, str | Omit] | None = None,
    extra_query: Mapping[str, object] | None = None,
    extra_body: Mapping[str, object] | None = None,
    timeout: TimeoutSpec | NotGiven = not_given,
) -> Call[ModelInfo]:
    """`models.retrieve`.

    Raises:
        ValueError: The name is empty, which would ask for the list.
    """
    if not model_id:
        raise ValueError(f"Expected a non-empty value for `model_id` but received {model_id!r}")
    return Call(
        method="GET",
        path=f"/v1/models/{quote(model_id, safe='/:')}",
        parse=lambda response, strict: parse_model(ModelInfo, response, strict),
        fields=extra_body,
        headers=headers_of(betas, extra_headers),
        query=extra_query,
        timeout=timeout,
    )


def list_models(
    kind: type[PageT],
    following: Callable[[dict[str, Any]], Any],
    *,
    after_id: str | Omit | NotGiven = omit,
    before_id: str | Omit | NotGiven = omit,
    limit: int | Omit | NotGiven = omit,
    betas: list[str] | Omit | NotGiven = omit,
    extra_headers: Mapping[str, str | Omit] | None = None,
    extra_query: Mapping[str, object] | None = None,
    extra_body: Mapping[str, object] | None = None,
    timeout: TimeoutSpec | NotGiven = not_given,
) -> Call[PageT]:
    """`models.list`, with the arguments of `ListParams`: one page, of a `kind`.

    `following` is how the page asks for those after it; it takes what differs in the query.
    """
    query: dict[str, Any] = fields_of(
        {"after_id": after_id, "before_id": before_id, "limit": limit}, extra_query
    )

    def page_of(response: httpx2.Response, strict: bool) -> PageT:
        page = parse_model(kind, response, strict)
        page._following = following
        page._backwards = bool(query.get("before_id"))
        return page

    return Call(
        method="GET",
        path="/v1/models",
        parse=page_of,
        fields=extra_body,
        headers=headers_of(betas, extra_headers),
        query=query,
        timeout=timeout,
    )


def completion_of(response: httpx2.Response, strict: bool) -> Completion:
    """The completion in a response that was read whole."""
    return parse_model(Completion, response, strict)
