"""What both clients are, before either sends anything: options, headers, URLs, warnings."""

from __future__ import annotations

import os
import sys
import warnings
import weakref
from collections.abc import Callable, Mapping
from datetime import date
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypeVar

import httpx2
from httpx2 import Timeout as Timeout

from tenuto.client.addresses import endpoint, parse_base_url, shown
from tenuto.client.call import Call
from tenuto.client.given import NotGiven, Omit, not_given
from tenuto.client.headers import check_name, check_value
from tenuto.client.types import TimeoutSpec
from tenuto.core.prompt import ASSISTANT, HUMAN
from tenuto.settings.client import ClientEnvironment, Credentials
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


HttpT = TypeVar("HttpT")


class Pool(Generic[HttpT]):
    """The HTTP client that a client and its copies share.

    It is made when it is first needed: reading the certificates of TLS takes a tenth of a second.
    A process that was forked makes its own, since two processes cannot share a connection.

    Args:
        make: Makes it.
        given: One of the caller's own instead, which nobody else closes.
        forget: Closes one that was made here, when all clients are gone that shared it.

    Attributes:
        given: The caller's own HTTP client, if there is one.
        closed: Whether it was closed, needed or not.
    """

    given: HttpT | None
    closed: bool

    def __init__(
        self,
        make: Callable[[], HttpT],
        given: HttpT | None = None,
        forget: Callable[[HttpT], None] | None = None,
    ) -> None:
        self.given = given
        self.closed = False
        self._made: HttpT | None = None
        self._make = make
        self._forget = forget
        self._finalizer: Any = None
        self._lock = Lock()
        self._pid = os.getpid()

    def get(self) -> HttpT:
        """Return the HTTP client. Threads may ask at the same time."""
        self._leave_the_parents()
        with self._lock:
            if self.closed:
                raise RuntimeError("the client is closed")
            if self.given is not None:
                return self.given
            if self._made is None:
                self._made = self._make()
                if self._forget is not None:
                    self._finalizer = weakref.finalize(self, self._forget, self._made)
            return self._made

    def follows_redirects(self) -> bool:
        """Return whether redirects within an origin are followed: the caller's client decides."""
        return self.given is None or bool(getattr(self.given, "follow_redirects", True))

    def close(self) -> HttpT | None:
        """Give no HTTP client any more. Returns the one that there is, for closing it."""
        self._leave_the_parents()
        with self._lock:
            self.closed = True
            return self.given or self._made

    def _leave_the_parents(self) -> None:
        """In a forked process, forget the connections of the parent without closing them."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = Lock()
            self._made = None
            if self._finalizer is not None:
                self._finalizer.detach()


class BaseClient:
    """The half of a client that does no input or output."""

    HUMAN_PROMPT: ClassVar = HUMAN
    AI_PROMPT: ClassVar = ASSISTANT

    api_key: str | None
    auth_token: str | None
    timeout: TimeoutSpec
    max_retries: int
    engine: str | None

    def _configure(
        self,
        environment: ClientEnvironment,
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
        if engine is not None and base_url is not None:
            raise ValueError("engine answers without a server: leave out engine or base_url")
        if max_retries is None or max_retries < 0:
            raise ValueError("max_retries must be 0 or more; 0 turns retries off")
        for name, value in (("api_key", api_key), ("auth_token", auth_token)):
            if value is not None:
                check_value(value, name)
        self.api_key = api_key
        self.auth_token = auth_token
        self.timeout = DEFAULT_TIMEOUT if isinstance(timeout, NotGiven) else timeout
        self.max_retries = max_retries
        self.engine = engine
        self._environment = environment
        # The key and the token that the environment allowed for the address; None if the caller
        # gave one of the two.
        self._allowed: tuple[str | None, str | None] | None = (
            (None, None) if api_key is None and auth_token is None else None
        )
        self._given_headers = dict(default_headers or {})
        self._custom_query = dict(default_query or {})
        self._strict = _strict_response_validation
        self._warned: set[str] = set()
        self._aim(base_url or None)
        for name, value in self._given_headers.items():
            check_name(name)
            check_value(value, f"the header {name}")

    def __repr__(self) -> str:
        where = f"base_url={shown(self._base_url)!r}"
        if self.engine is not None:
            where = f"engine={self.engine!r}"
        return f"{type(self).__name__}({where}, max_retries={self.max_retries})"

    @property
    def base_url(self) -> httpx2.URL:
        """The server; its path ends in a slash. It may be set to a text.

        Credentials from the environment are looked up again for the new address.
        """
        return self._base_url

    @base_url.setter
    def base_url(self, url: str | httpx2.URL) -> None:
        if self.engine is not None:
            raise ValueError("engine answers without a server: base_url cannot be set")
        self._aim(url)

    def _aim(self, base_url: str | httpx2.URL | None) -> None:
        """Set the address, and the credentials that the environment allows for it."""
        environment = self._environment
        url, what = base_url, "base_url"
        if self.engine is not None:
            url = EMBEDDED_URL
        elif url is None and environment.base_url is not None:
            url, what = environment.base_url, environment.base_url_source
        self._base_url = parse_base_url(DEFAULT_BASE_URL if url is None else url, what)
        self._named_base_url = base_url
        self._urls: dict[str, httpx2.URL] = {}
        allowed = Credentials()
        if self.engine is None:
            allowed = environment.credentials(None if base_url is None else str(self._base_url))
        for name, value in allowed.headers.items():
            check_name(name)
            check_value(value, f"the header {name} in {allowed.sources['headers']}")
        self._environment_headers = allowed.headers
        if self._asks_environment():
            self.api_key, self.auth_token = allowed.api_key, allowed.auth_token
            self._allowed = (self.api_key, self.auth_token)
            for name, secret in (("api_key", self.api_key), ("auth_token", self.auth_token)):
                if secret is not None:
                    check_value(secret, f"{name} from {allowed.sources[name]}")

    def _asks_environment(self) -> bool:
        """Return whether key and token come from the environment, and not from the caller."""
        return self._allowed == (self.api_key, self.auth_token)

    @property
    def auth_headers(self) -> dict[str, str]:
        """The headers with the key and the token, where there are any."""
        headers = {}
        if self.api_key:
            headers["x-api-key"] = self.api_key
        if self.auth_token:
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
    def _custom_headers(self) -> dict[str, str]:
        return {**self._environment_headers, **self._given_headers}

    @property
    def default_query(self) -> dict[str, object]:
        """The parameters of every URL."""
        return dict(self._custom_query)

    def _url(self, path: str) -> httpx2.URL:
        """Where a path is. Kept, since parsing a URL costs as much as reading an answer."""
        url = self._urls.get(path)
        if url is None:
            url = endpoint(self._base_url, path)
            if len(self._urls) < _MAX_KEPT_URLS:
                self._urls[path] = url
        return url

    def _parts(self, call: Call[Any]) -> dict[str, Any]:
        """The arguments of httpx2's `build_request`."""
        headers = self.default_headers
        for name, value in (call.headers or {}).items():
            check_name(name)
            if isinstance(value, Omit):
                headers.pop(name.lower(), None)
            else:
                headers[name.lower()] = value
        for name, value in headers.items():
            check_value(value, f"the header {name}")
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
        new._configure(self._environment, **self._options(**changes))
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
            "api_key": None if self._asks_environment() else self.api_key,
            "auth_token": None if self._asks_environment() else self.auth_token,
            "base_url": None if self.engine else self._named_base_url,
            "timeout": self.timeout,
            "max_retries": self.max_retries,
            "engine": self.engine,
            "default_headers": self._given_headers | dict(default_headers or {})
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
