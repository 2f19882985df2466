"""Name the reason of a failed request in a few words."""

from __future__ import annotations

import json
import os
import ssl
from typing import Any, Final

import httpx2

CONNECT_S: Final = 10.0
"""Seconds after which a connection attempt fails."""

# The first class that matches decides.
_REASONS: Final = (
    (httpx2.ConnectTimeout, f"cannot connect within {CONNECT_S:g} s"),
    (httpx2.TimeoutException, "no answer within --timeout"),
    (httpx2.ConnectError, "cannot connect"),
    (httpx2.NetworkError, "the connection broke"),
    (httpx2.RemoteProtocolError, "the connection broke, or the response is not HTTP"),
)


def reason(error: BaseException) -> str:
    """Return the reason of an error, with the operating system's message if it has one."""
    if isinstance(error, httpx2.ProxyError | httpx2.UnsupportedProtocol):
        # Its message names the variable and the remedy.
        return " ".join(str(error).split())
    matching = (text for kind, text in _REASONS if isinstance(error, kind))
    name = next(matching, type(error).__name__)
    below: list[BaseException] = [error]
    while below:
        each = below.pop()
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"{name}: its certificate is not trusted ({each.verify_message})"
        if isinstance(each, ssl.SSLError):
            # Its number is not the operating system's.
            return f"{name}: TLS failed ({each.reason or 'without a reason'})"
        if isinstance(each, OSError) and each.strerror:
            # The library adds the address to the message.
            number = each.errno or 0
            return f"{name}: {os.strerror(number) if number > 0 else each.strerror}"
        inner = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        below += [more for more in (*inner, each.__cause__ or each.__context__) if more]
    return name


def refusal(status: int, body: bytes) -> str:
    """Return the reason of an error response."""
    try:
        return f"{status} {error_type(json.loads(body))}"
    except ValueError:
        return str(status)


def error_type(body: Any) -> str:
    """Return the type of an error in the API's envelope."""
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("type")) if isinstance(error, dict) else "error"
