"""Request, answer, and what is done when there is none: the steps, without taking them.

Both clients take these steps, one by calling, one by awaiting; neither knows why. So what is
retried, when, and what is raised in the end is written once, and tested without a network.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import httpx2

from tenuto.client.errors import error_of_response, error_of_transport
from tenuto.client.redirects import follow
from tenuto.client.retries import delay_s, should_retry


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the outcome is its response, with the body still to come."""

    request: httpx2.Request


@dataclass(frozen=True, slots=True)
class Read:
    """Read the rest of a response."""

    response: httpx2.Response


@dataclass(frozen=True, slots=True)
class Close:
    """Close a response, whatever is left of it."""

    response: httpx2.Response


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for so many seconds."""

    seconds: float


Step: TypeAlias = Send | Read | Close | Wait
Outcome: TypeAlias = httpx2.Response | httpx2.HTTPError | None
"""What came of a step: a response of `Send`, an error of any but `Wait`, else None."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an exchange ends in.

    Attributes:
        response: A success, read whole unless it streams.
        retries_taken: How often it had to be asked for again.
    """

    response: httpx2.Response
    retries_taken: int


# What would go wrong in the same way again.
_HOPELESS = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)


def exchange(
    request: httpx2.Request,
    *,
    max_retries: int,
    stream: bool,
    follow_redirects: bool = True,
    clock: Callable[[], float] = time.time,
    chance: Callable[[], float] = random.random,
) -> Generator[Step, Outcome, Answer]:
    """The steps from a request to its answer.

    Args:
        request: What to send; the same bytes each time.
        max_retries: How often to ask again at most, 0 or more.
        stream: Whether the answer is left unread.
        follow_redirects: Whether redirects within the same origin are followed.
        clock: Seconds since 1970.
        chance: See `delay_s`.

    Returns:
        The answer, once it is a success.

    Raises:
        APIStatusError: The server answered with an error, and for the last time, or with a
            redirect that is not followed.
        APIConnectionError: It did not answer, or not to the end.
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
                    return Answer(response, taken)
                outcome = broken
            else:
                headers = response.headers
                if not (retry and should_retry(response.status_code, headers)):
                    broken = yield Read(response)
                    if isinstance(broken, httpx2.HTTPError):
                        raise error_of_transport(broken, request) from broken
                    raise error_of_response(response)
                yield Close(response)
        if isinstance(outcome, httpx2.HTTPError) and (not retry or isinstance(outcome, _HOPELESS)):
            raise error_of_transport(outcome, request) from outcome
        yield Wait(delay_s(taken, headers, now=clock(), chance=chance()))
        taken += 1
        request, redirects = first, 0
