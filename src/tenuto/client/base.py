"""What both clients are, before either sends anything: options, headers, URLs, warnings."""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Callable, Mapping
from datetime import date
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypedDict, TypeVar

import httpx2
from httpx2 import Timeout as Timeout

from tenuto.client.call import Call
from tenuto.client.given import NotGiven, Omit, not_given
from tenuto.client.types import TimeoutSpec
from tenuto.prompt.turns import ASSISTANT, HUMAN
from tenuto.settings import client_environment
from tenuto.version import __version__
from tenuto.wire.names import retired_on

DEFAULT_BASE_URL: Final = "http://127.0.0.1:8000"
"""Where `tenuto serve` listens."""

DEFAULT_TIMEOUT: Final = httpx2.Timeout(600.0, connect=5.0)
DEFAULT_MAX_RETRIES: Final = 2
DEFAULT_CONNECTION_LIMITS: Final = httpx2.Limits(
    max_connections=1000, max_keepalive_connections=100
)

_API_VERSION = "2023-06-01"
_MAX_KEPT_URLS = 16
EMBEDDED_URL: Final = "http://localhost"


class ClientOptions(TypedDict, total=False):
    """The arguments of both clients, besides `http_client`.

    Attributes:
        api_key: Sent as `x-api-key`; else TENUTO_API_KEY or ANTHROPIC_API_KEY. A server without
            keys needs none.
        auth_token: Sent as `Authorization: Bearer`; else TENUTO_AUTH_TOKEN or
            ANTHROPIC_AUTH_TOKEN. Where a key or a token is given, the environment is not asked
            for the other.
        base_url: The server, without `/v1`; else TENUTO_BASE_URL or ANTHROPIC_BASE_URL, else
            `DEFAULT_BASE_URL`.
        timeout: Seconds to wait for the next byte, an `httpx2.Timeout`, or None for no limit;
            600, and 5 to connect, if not given.
        max_retries: How often a request is sent again that failed for a reason that may pass.
        default_headers: For all requests; they win over the client's own.
        default_query: Parameters for all URLs.
        engine: Answer here, without a server: `local` with the built-in model, `local:PATH.gguf`,
            or `echo`, which repeats the question.
    """

    api_key: str | None
    auth_token: str | None
    base_url: str | httpx2.URL | None
    timeout: TimeoutSpec | NotGiven
    max_retries: int
    default_headers: Mapping[str, str] | None
    default_query: Mapping[str, object] | None
    engine: str | None
    _strict_response_validation: bool


class CopyOptions(TypedDict, total=False):
    """The arguments of `with_options`: what to change, as in `ClientOptions`.

    Attributes:
        default_headers: On top of those that the client has.
        set_default_headers: Instead of them.
        default_query: On top of those that the client has.
        set_default_query: Instead of them.
    """

    api_key: str | None
    auth_token: str | None
    base_url: str | httpx2.URL | None
    timeout: TimeoutSpec | NotGiven
    max_retries: int | NotGiven
    default_headers: Mapping[str, str] | None
    set_default_headers: Mapping[str, str] | None
    default_query: Mapping[str, object] | None
    set_default_query: Mapping[str, object] | None


HttpT = TypeVar("HttpT")


class Pool(Generic[HttpT]):
    """The HTTP client that a client and its copies share.

    It is made when it is first needed: reading the certificates of TLS takes a tenth of a second.

    Args:
        make: Makes it.
        made: One of the caller's own instead, which nobody else closes.
        forget: Closes one that was made here, when all clients are gone that shared it.

    Attributes:
        made: The HTTP client, None before it is needed.
        closed: Whether it was closed, needed or not.
    """

    made: HttpT | None
    closed: bool

    def __init__(
        self,
        make: Callable[[], HttpT],
        made: HttpT | None = None,
        forget: Callable[[HttpT], None] | None = None,
    ) -> None:
        self.made = made
        self.closed = False
        self._make = make
        self._forget = forget
        self._lock = Lock()

    def get(self) -> HttpT:
        """The HTTP client. Threads may ask at the same time."""
        with self._lock:
            if self.closed:
                raise RuntimeError("the client is closed")
            if self.made is None:
                self.made = self._make()
                if self._forget is not None:
                    weakref.finalize(self, self._forget, self.made)
            return self.made

    def close(self) -> HttpT | None:
        """Gives no HTTP client any more. Returns the one that there is, for closing it."""
        with self._lock:
            self.closed = True
            return self.made


class BaseClient:
    """The half of a client that does no input or output. See `ClientOptions`."""

    HUMAN_PROMPT: ClassVar = HUMAN
    AI_PROMPT: ClassVar = ASSISTANT

    api_key: str | None
    auth_token: str | None
    timeout: TimeoutSpec
    max_retries: int
    engine: str | None

    def __init__(
        self,
        *,
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: str | httpx2.URL | None = None,
        timeout: TimeoutSpec | NotGiven = not_given,
        max_retries: int = DEFAULT_MAX_RETRIES,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        engine: str | None = None,
        _strict_response_validation: bool = False,
    ) -> None:
        environment = client_environment()
        if engine is not None and base_url is not None:
            raise ValueError("engine answers without a server: leave out engine or base_url")
        if max_retries is None or max_retries < 0:
            raise ValueError("max_retries must be 0 or more; 0 turns retries off")
        if api_key is None and auth_token is None:
            api_key, auth_token = environment.api_key, environment.auth_token
        for name, value in (("api_key", api_key), ("auth_token", auth_token)):
            if value is not None and not value.isprintable():
                raise ValueError(
                    f"{name} holds a character that no header may hold, maybe a newline"
                )
        if engine is not None:
            base_url = EMBEDDED_URL
        self.api_key = api_key
        self.auth_token = auth_token
        self.base_url = base_url or environment.base_url or DEFAULT_BASE_URL
        self.timeout = DEFAULT_TIMEOUT if isinstance(timeout, NotGiven) else timeout
        self.max_retries = max_retries
        self.engine = engine
        self._custom_headers = environment.headers | dict(default_headers or {})
        self._custom_query = dict(default_query or {})
        self._strict = _strict_response_validation
        self._warned: set[str] = set()

    @property
    def base_url(self) -> httpx2.URL:
        """The server; its path ends in a slash. It may be set to a text."""
        return self._base_url

    @base_url.setter
    def base_url(self, url: str | httpx2.URL) -> None:
        parsed = httpx2.URL(url)
        if not parsed.path.endswith("/"):
            parsed = parsed.copy_with(path=parsed.path + "/")
        self._base_url = parsed
        self._urls: dict[str, httpx2.URL] = {}

    @property
    def auth_headers(self) -> dict[str, str]:
        """The headers with the key and the token, where there are any."""
        headers = {}
        if self.api_key is not None:
            headers["x-api-key"] = self.api_key
        if self.auth_token is not None:
            headers["authorization"] = f"Bearer {self.auth_token}"
        return headers

    @property
    def default_headers(self) -> dict[str, str]:
        """The headers of every request, with names in small letters."""
        return {
            "accept": "application/json",
            "content-type": "application/json",
            "user-agent": f"Tenuto/Python {__version__}",
            "anthropic-version": _API_VERSION,
            **self.auth_headers,
            **{name.lower(): value for name, value in self._custom_headers.items()},
        }

    @property
    def default_query(self) -> dict[str, object]:
        """The parameters of every URL."""
        return dict(self._custom_query)

    def _url(self, path: str) -> httpx2.URL:
        """Where a path is. Kept, since parsing a URL costs as much as reading an answer."""
        url = self._urls.get(path)
        if url is None:
            url = self._base_url.copy_with(path=self._base_url.path.rstrip("/") + path)
            if len(self._urls) < _MAX_KEPT_URLS:
                self._urls[path] = url
        return url

    def _parts(self, call: Call[Any]) -> dict[str, Any]:
        """The arguments of httpx2's `build_request`."""
        headers = self.default_headers
        for name, value in (call.headers or {}).items():
            if isinstance(value, Omit):
                headers.pop(name.lower(), None)
            else:
                headers[name.lower()] = value
        content = call.content
        if content is None:
            headers.pop("content-type", None)
        return {
            "method": call.method,
            "url": self._url(call.path),
            "headers": headers,
            "content": content,
            "params": (self._custom_query | dict(call.query or {})) or None,
            "timeout": as_timeout(
                self.timeout if isinstance(call.timeout, NotGiven) else call.timeout
            ),
        }

    def _copy(self, **changes: Any) -> Self:
        """A client like this one, but for some changes, and still without connections."""
        new = type(self).__new__(type(self))
        BaseClient.__init__(new, **self._options(**changes))
        new._warned = self._warned
        return new

    def _options(
        self,
        *,
        default_headers: Mapping[str, str] | None = None,
        set_default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        set_default_query: Mapping[str, object] | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        """The constructor's arguments for a client like this one, but for some changes."""
        if default_headers is not None and set_default_headers is not None:
            raise ValueError("give default_headers, which add, or set_default_headers, not both")
        if default_query is not None and set_default_query is not None:
            raise ValueError("give default_query, which adds, or set_default_query, not both")
        headers, query = set_default_headers, set_default_query
        options: dict[str, Any] = {
            "api_key": self.api_key,
            "auth_token": self.auth_token,
            "base_url": None if self.engine else self.base_url,
            "timeout": self.timeout,
            "max_retries": self.max_retries,
            "engine": self.engine,
            "default_headers": self._custom_headers | dict(default_headers or {})
            if headers is None
            else headers,
            "default_query": self._custom_query | dict(default_query or {})
            if query is None
            else query,
            "_strict_response_validation": self._strict,
        }
        # As in the official client, None leaves an option as it is; only a timeout may be None.
        given = {
            name: value
            for name, value in changes.items()
            if not isinstance(value, NotGiven) and (value is not None or name == "timeout")
        }
        return options | given

    def _warn_if_retired(self, model: str) -> None:
        """Warns once a client and its copies about a model that the service has retired."""
        end = retired_on(model) if isinstance(model, str) else None
        if end is None or model in self._warned:
            return
        self._warned.add(model)
        retires = "retired" if end <= date.today() else "retires"
        warnings.warn(
            f"The service {retires} the model {model!r} on {end:%Y-%m-%d}, its end of life. A "
            "server of this API may answer to its name with a model of its own: "
            "`client.models.list()` tells which. Name that one instead.",
            DeprecationWarning,
            stacklevel=_frames_to_the_caller(),
        )

    if not TYPE_CHECKING:  # Type checkers know what is there, and should say so.

        def __getattr__(self, name: str) -> Any:
            """Says where something is that users of other clients look for."""
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            if name in ("messages", "beta"):
                message += "; for the Messages API use the package `anthropic`"
            elif name in ("completion", "completion_stream", "acompletion", "acompletion_stream"):
                message += "; call `completions.create(...)`, with `stream=True` for a stream"
            raise AttributeError(message)


def as_timeout(value: object) -> httpx2.Timeout:
    """A timeout of any kind that callers have, an `httpx.Timeout` of the older library too."""
    if value is None or isinstance(value, int | float | httpx2.Timeout):
        return httpx2.Timeout(value)
    try:
        phases = {name: getattr(value, name) for name in ("connect", "read", "write", "pool")}
    except AttributeError:
        raise TypeError(
            f"timeout must be seconds, an httpx2.Timeout or None, not {type(value).__name__}"
        ) from None
    return httpx2.Timeout(**phases)


def _frames_to_the_caller() -> int:
    """How far up the stack the caller's own code is, as `warnings.warn` counts."""
    level, frame = 1, sys._getframe(1)
    package = __name__.partition(".")[0] + "."
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(package):
        level, frame = level + 1, frame.f_back
    return level
