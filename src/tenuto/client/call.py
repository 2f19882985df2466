"""An API call before it is sent: the parts of its request, and the parser of its response."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx2

from tenuto.client.types import NotGiven, Omit, TimeoutSpec, is_given, not_given

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call. Its headers, query and timeout take precedence over the client's.

    Attributes:
        method: HTTP method.
        path: Path below the base URL.
        parse: Converts the response and the flag `strict` to the result. The body has been read
            unless `stream` is set.
        fields: JSON body; None for no body.
        headers: Additional headers; `omit` removes one of the client's.
        query: Additional URL parameters.
        timeout: Timeout of this call.
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
        """The encoded body."""
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
