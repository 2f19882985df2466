"""The retry loop without I/O: yields the steps `Send`, `Read`, `Close` and `Wait`.

`SyncSender` and `AsyncSender` perform the steps, so the rules for retries, redirects and errors
exist once and are tested without a network. Retries follow the official Python client, 0.125.0.
Every request may be retried: a completion changes nothing on the server, and no part of the failed
response has been used.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import httpx2

from tenuto.client.addresses import origin
from tenuto.client.error_mapping import error_of_response, error_of_transport
from tenuto.client.errors import APIStatusError
from tenuto.wire import backoff


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request. The outcome is its response with the body unread."""

    request: httpx2.Request


@dataclass(frozen=True, slots=True)
class Read:
    """Read the rest of a response."""

    response: httpx2.Response


@dataclass(frozen=True, slots=True)
class Close:
    """Close a response, discarding the unread body."""

    response: httpx2.Response


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a number of seconds."""

    seconds: float


Step: TypeAlias = Send | Read | Close | Wait
Outcome: TypeAlias = httpx2.Response | httpx2.HTTPError | None
"""Outcome of a step: the response of `Send`, an error of any but `Wait`, else None."""


@dataclass(frozen=True, slots=True)
class Success:
    """A response without an error status, whose body has been read unless it streams."""

    response: httpx2.Response
    retries_taken: int


# Errors that a retry would repeat.
_PERMANENT = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)

MAX_REDIRECTS = 20

_KEEPS_METHOD = (307, 308)

MAX_RETRY_AFTER_S = 60.0
"""Longest wait that a server may request; longer values are ignored."""


def exchange(
    request: httpx2.Request,
    *,
    max_retries: int,
    stream: bool,
    follow_redirects: bool = True,
    clock: Callable[[], float] = time.time,
    chance: Callable[[], float] = random.random,
) -> Generator[Step, Outcome, Success]:
    """Yield the steps from a request to its successful response.

    Every retry sends the same bytes. `stream` leaves the body unread, `follow_redirects` allows
    redirects within the same origin, and `clock` and `chance` return the values for `delay_s`.

    Raises:
        APIStatusError: The last response has an error status, or is a redirect that is not
            followed.
        APIConnectionError: The server returned no response, or an incomplete one.
    """
    taken = redirects = 0
    first = request
    while True:
        outcome = yield Send(request)
        headers: Mapping[str, str] = {}
        retry = taken < max_retries
        if isinstance(outcome, httpx2.Response):
            response = outcome
            if response.is_redirect:
                yield Close(response)
                request = follow(request, response, taken=redirects, allowed=follow_redirects)
                redirects += 1
                continue
            if not response.is_error:
                broken = None if stream else (yield Read(response))
                if broken is None:
                    return Success(response, taken)
                outcome = broken
            else:
                headers = response.headers
                if not (retry and should_retry(response.status_code, headers)):
                    broken = yield Read(response)
                    if isinstance(broken, httpx2.HTTPError):
                        raise error_of_transport(broken, request) from broken
                    raise error_of_response(response)
                yield Close(response)
        if isinstance(outcome, httpx2.HTTPError) and (not retry or isinstance(outcome, _PERMANENT)):
            raise error_of_transport(outcome, request) from outcome
        yield Wait(delay_s(taken, headers, now=clock(), chance=chance()))
        taken += 1
        request, redirects = first, 0


def follow(
    request: httpx2.Request, response: httpx2.Response, *, taken: int, allowed: bool = True
) -> httpx2.Request:
    """Return the request to send after a redirect: to the same origin, with the same method.

    Another origin would receive the prompt, and headers with keys that no HTTP library removes. A
    POST turned into a GET would be a different request. `taken` counts the previous redirects.

    Raises:
        APIStatusError: The redirect is not followed; the message has the reason.
    """
    status = f"{response.status_code} {response.reason_phrase}".strip()
    following = response.next_request if response.has_redirect_location else None
    here = origin(request.url)
    there = "" if following is None else origin(following.url)
    if following is None or not following.url.host:
        reason = f"The server responded with a redirect without a valid address ({status})."
    elif following.url.origin != request.url.origin:
        reason = (
            f"The server at {here} redirects to another origin, {there} ({status}). Neither key "
            "nor prompt was sent there; if it is the right server, set `base_url` to it."
        )
    elif request.method != "GET" and response.status_code not in _KEEPS_METHOD:
        reason = (
            f"The server redirects to {there}{following.url.path} with {status}, which would turn "
            f"the {request.method} into a GET. Set `base_url` to the new address; the server "
            "should use 307 or 308."
        )
    elif not allowed:
        reason = (
            f"The server redirects to {there}{following.url.path} ({status}), and the "
            "`http_client` has `follow_redirects=False`."
        )
    elif taken >= MAX_REDIRECTS:
        reason = f"The server at {here} redirected {taken} times in a row."
    else:
        following.url = following.url.copy_with(
            username=request.url.username or None, password=request.url.password or None
        )
        if "cookie" in request.headers and "cookie" not in following.headers:
            following.headers["cookie"] = request.headers["cookie"]
        return following
    raise APIStatusError(reason, response=response, body=None)


def should_retry(status: int, headers: Mapping[str, str]) -> bool:
    """Return whether to retry after a response; `x-should-retry` overrides the status."""
    override = headers.get("x-should-retry")
    if override in ("true", "false"):
        return override == "true"
    return status in (408, 409, 429) or status >= 500


def delay_s(retries_taken: int, headers: Mapping[str, str], *, now: float, chance: float) -> float:
    """Return the wait before the next retry, in seconds.

    A valid `retry-after-ms` or `retry-after` in the response's headers sets it. `now` is in seconds
    since 1970; `chance` is 0 to less than 1, see `wire.backoff`.
    """
    requested = backoff.retry_after_s(headers, now)
    if requested is not None and 0 < requested <= MAX_RETRY_AFTER_S:
        return requested
    return backoff.delay_s(retries_taken, chance)
