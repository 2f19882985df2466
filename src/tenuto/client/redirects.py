"""Where a redirect may lead: to the same origin, with the same method. Pure.

Another origin is never asked: it would get the prompt, and headers with keys that no HTTP library
knows to take away. And a POST that became a GET would be an answer to another question.
"""

from __future__ import annotations

import httpx2

from tenuto.client.addresses import origin
from tenuto.client.errors import APIStatusError

MOST_REDIRECTS = 20

_KEEPS_METHOD = (307, 308)


def follow(
    request: httpx2.Request, response: httpx2.Response, *, taken: int, allowed: bool = True
) -> httpx2.Request:
    """Return the request that a redirect asks for.

    Args:
        request: The request that was answered with the redirect.
        response: The redirect, a status from 300 to 399, unread.
        taken: How many redirects led to it.
        allowed: Whether redirects are followed at all.

    Raises:
        APIStatusError: The redirect is not followed; the message has the reason.
    """
    status = f"{response.status_code} {response.reason_phrase}".strip()
    if not response.has_redirect_location:
        raise _refusal(response, f"The server answered with {status}, which is not an answer.")
    following = response.next_request
    if following is None or not following.url.host:
        raise _refusal(response, f"The server answered with {status} to an invalid address.")
    here, there = origin(request.url), origin(following.url)
    if following.url.origin != request.url.origin:
        raise _refusal(
            response,
            f"The server at {here} redirects to another one, {there} ({status}). Neither key nor "
            f"prompt was sent there; if it is the right one, set `base_url` to it.",
        )
    if request.method != "GET" and response.status_code not in _KEEPS_METHOD:
        raise _refusal(
            response,
            f"The server redirects to {there}{following.url.path} with {status}, which would turn "
            f"the {request.method} into a GET. Set `base_url` to where it leads; the server "
            "should use 307 or 308.",
        )
    if not allowed:
        raise _refusal(
            response,
            f"The server redirects to {there}{following.url.path} ({status}), and the "
            "`http_client` has `follow_redirects=False`.",
        )
    if taken >= MOST_REDIRECTS:
        raise _refusal(response, f"The server at {here} redirected {taken} times in a row.")
    following.url = following.url.copy_with(
        username=request.url.username or None, password=request.url.password or None
    )
    if "cookie" in request.headers and "cookie" not in following.headers:
        following.headers["cookie"] = request.headers["cookie"]
    return following


def _refusal(response: httpx2.Response, message: str) -> APIStatusError:
    return APIStatusError(message, response=response, body=None)
