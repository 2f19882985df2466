"""Requests to a server behind this one, and what it means when they fail."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Final

import aiohttp
from pydantic_core import from_json

from tenuto.engine.base import UpstreamError
from tenuto.version import __version__

_log = logging.getLogger("tenuto.upstream")

_MAX_ERROR_BYTES: Final = 64 * 1024
_MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
_MAX_RETRY_AFTER_S: Final = 3600.0

UNREACHABLE: Final = "The server behind this one cannot be reached."
SLOW: Final = "The server behind this one took too long to answer."
BROKE_OFF: Final = "The server behind this one broke off in the middle of its answer."
GARBAGE: Final = "The server behind this one answered with something that is no completion."
REFUSES_US: Final = "The server behind this one does not accept this server's key."


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and how long to wait for it.

    Attributes:
        name: What it is called in the settings and the log.
        base_url: Without `/v1`.
        connect_timeout_s: Longest wait for a connection.
        read_timeout_s: Longest silence, before an answer and in the middle of it.
    """

    name: str
    base_url: str
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 120.0


class Connection:
    """Connections to one server. They are opened when they are needed, and kept."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Closes all of them, also those in use."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str], *, forwards_key: bool
    ) -> AsyncGenerator[Answer, None]:
        """Sends a request. Leaving the block closes the connection unless it was read to its end.

        Args:
            path: Below the base URL.
            body: JSON.
            headers: On top of those that every request has.
            forwards_key: Whether the key in them is the caller's own, so that a refusal of it is
                the caller's business.

        Raises:
            UpstreamError: There is no answer, or it is an error.
        """
        url = self.address.base_url.rstrip("/") + path
        try:
            response = await self._opened().post(url, data=body, headers=headers)
        except TimeoutError:
            raise UpstreamError(SLOW, status=504, retryable=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            _log.warning("%s: %s", self.address.name, type(error).__name__)
            raise UpstreamError(UNREACHABLE, status=500, retryable=True) from None
        try:
            if response.status >= 400:
                raise await self._error(response, forwards_key=forwards_key)
            yield Answer(response, self.address.name)
        finally:
            # Read to the end it goes back to the pool; otherwise the server notices at once.
            response.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Its own limit would let the hundred-and-first stream wait.
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=self.address.connect_timeout_s,
                    sock_read=self.address.read_timeout_s,
                ),
                headers={
                    "accept-encoding": "identity",
                    "content-type": "application/json",
                    "user-agent": f"Tenuto/{__version__}",
                },
            )
        return self._session

    async def _error(
        self, response: aiohttp.ClientResponse, *, forwards_key: bool
    ) -> UpstreamError:
        """The error that an answer stands for."""
        text = b""
        try:
            text = await response.content.read(_MAX_ERROR_BYTES)
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass  # Its status says enough.
        request_id = response.headers.get("request-id") or response.headers.get("x-request-id")
        _log.warning(
            "%s answered %d, request id %s", self.address.name, response.status, request_id or "-"
        )
        return error_of_status(
            response.status,
            message_in(text),
            retry_after=retry_after_s(response.headers),
            forwards_key=forwards_key,
        )


class Answer:
    """An answer whose body is still to come."""

    def __init__(self, response: aiohttp.ClientResponse, name: str) -> None:
        self._response = response
        self._name = name

    async def json(self) -> dict[str, Any]:
        """The whole body, a JSON object.

        Raises:
            UpstreamError: It does not come, or is something else.
        """
        data = bytearray()
        async for chunk in self.chunks():
            data += chunk
            if len(data) > _MAX_ANSWER_BYTES:
                raise UpstreamError(GARBAGE, status=500, retryable=True)
        return json_object(bytes(data))

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, all that is there at a time.

        Raises:
            UpstreamError: It stops coming.
        """
        content = self._response.content
        try:
            while data := await content.readany():
                yield data
        except TimeoutError:
            raise UpstreamError(SLOW, status=504, retryable=True) from None
        except (aiohttp.ClientError, OSError) as error:
            _log.warning("%s: %s", self._name, type(error).__name__)
            raise UpstreamError(BROKE_OFF, status=500, retryable=True) from None


def json_object(data: bytes | str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UpstreamError: The text is none.
    """
    try:
        value = from_json(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UpstreamError(GARBAGE, status=500, retryable=True)
    return value


def message_in(body: bytes | str) -> str | None:
    """The words in the body of an error, in the envelope of either API; None if it has none."""
    try:
        value = from_json(body)
    except ValueError:
        return None
    inner = value.get("error", value) if isinstance(value, dict) else None
    message = inner.get("message") if isinstance(inner, dict) else inner
    return message if isinstance(message, str) and message else None


def error_of_status(
    status: int,
    message: str | None,
    *,
    retry_after: float | None = None,
    forwards_key: bool = False,
) -> UpstreamError:
    """The error for a caller, from the error of a server behind this one.

    What is the caller's mistake keeps its status and its words. What is this server's, a wrong
    key of its own for example, is not blamed on the caller.
    """
    if status in (401, 403) and not forwards_key:
        return UpstreamError(REFUSES_US, status=500)
    if status in (408, 504):
        return UpstreamError(SLOW, status=504, retryable=True)
    if status in (503, 529):
        return UpstreamError("Overloaded", status=529, retry_after=retry_after, retryable=True)
    said = message or f"The server behind this one answered {status}."
    if status == 429:
        return UpstreamError(said, status=429, retry_after=retry_after, retryable=True)
    if status >= 500:
        return UpstreamError(
            f"The server behind this one failed; it answered {status}.", status=500, retryable=True
        )
    return UpstreamError(said, status=status if status in _STATUS_OF_TYPE.values() else 400)


_STATUS_OF_TYPE: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def error_of_event(data: str) -> UpstreamError:
    """The error that an `error` event stands for, in the middle of a stream."""
    try:
        value = from_json(data)
    except ValueError:
        value = None
    inner = value.get("error") if isinstance(value, dict) else None
    kind = inner.get("type") if isinstance(inner, dict) else None
    status = _STATUS_OF_TYPE.get(kind, 500) if isinstance(kind, str) else 500
    return error_of_status(status, message_in(data))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds until another try, from `retry-after-ms` or `retry-after`; None without either."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            seconds = float(text) * scale
        except ValueError:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - time()
            except (ValueError, OverflowError):
                continue
        if 0 <= seconds <= _MAX_RETRY_AFTER_S:
            return seconds
    return None
