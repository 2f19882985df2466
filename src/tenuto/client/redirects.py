"""Redirects: only to the same origin, with the same method. No I/O.

Another origin would receive the prompt, and headers with keys that no HTTP library removes. A POST
turned into a GET would be a different request.
"""

from __future__ import annotations

import httpx2

from tenuto.client.addresses import origin
from tenuto.client.errors import APIStatusError

MAX_REDIRECTS = 20

_KEEPS_METHOD = (307, 308)


def follow(
    request: httpx2.Request, response: httpx2.Response, *, taken: int, allowed: bool = True
) -> httpx2.Request:
    """Return the request to send after a redirect.

    Args:
        request: The redirected request.
        response: The redirect, a status from 300 to 399, unread.
        taken: Number of previous redirects.
        allowed: Whether redirects are followed at all.

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
