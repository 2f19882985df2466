"""HTTP as bytes: refusals that do not reach the application, and heads without an upgrade."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tenuto.core.refusal import Refusal, invalid
from tenuto.wire.errors import error_body, status_of

_REASONS = {
    400: "Bad Request",
    405: "Method Not Allowed",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    529: "Overloaded",
}


def refusal_bytes(refusal: Refusal, request_id: str) -> bytes:
    """Return the response of a refusal, which closes the connection."""
    body = json.dumps(error_body(refusal, request_id), separators=(",", ":")).encode()
    status = status_of(refusal.kind)
    head = (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nrequest-id: {request_id}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


def parse_error(data: bytes, error: Exception) -> Refusal:
    """Return the refusal of bytes that the parser rejects with an error."""
    if data.startswith(b"\x16\x03"):
        return invalid("Invalid HTTP request: this port speaks http://, not https://")
    # The parser's messages are constants, without text of the request.
    return invalid(f"Invalid HTTP request received: {error}")


def head_without_upgrade(
    method: bytes, target: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Return the head of a request without its `upgrade` header."""
    first = b" ".join((method, target, b"HTTP/" + version.encode()))
    lines = [name + b": " + value for name, value in headers if name != b"upgrade"]
    return b"\r\n".join((first, *lines, b"", b""))
