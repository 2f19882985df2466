"""Requests from a client's address, credentials, headers and query. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import httpx2

from tenuto.client.addresses import endpoint, parse_base_url, shown
from tenuto.client.call import Call
from tenuto.client.types import (
    DEFAULT_BASE_URL,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
    NotGiven,
    Omit,
    TimeoutSpec,
    not_given,
)
from tenuto.settings.client import ClientEnvironment, Credentials
from tenuto.version import __version__

_API_VERSION: Final = "2023-06-01"
_EMBEDDED_URL: Final = "http://localhost"
_MAX_CACHED_URLS: Final = 16
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_SHOWN: Final = 40


class RequestBuilder:
    """The options of a client that shape its requests."""

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
            raise ValueError("engine runs without a server: leave out engine or base_url")
        if max_retries is None or max_retries < 0:
            raise ValueError("max_retries must be 0 or more; 0 turns retries off")
        for name, value in (("api_key", api_key), ("auth_token", auth_token)):
            if value is not None:
                _check_value(value, name)
        self.api_key = api_key
        self.auth_token = auth_token
        self.timeout = DEFAULT_TIMEOUT if isinstance(timeout, NotGiven) else timeout
        self.max_retries = max_retries
        self.engine = engine
        self._environment = environment
        # Key and token from the environment; None if the caller passed one of the two.
        self._environment_credentials: tuple[str | None, str | None] | None = (
            (None, None) if api_key is None and auth_token is None else None
        )
        self._own_headers = dict(default_headers or {})
        self._query = dict(default_query or {})
        self._strict = _strict_response_validation
        self._set_address(base_url or None)
        _check_headers(self._own_headers)

    def __repr__(self) -> str:
        where = f"base_url={shown(self._base_url)!r}"
        if self.engine is not None:
            where = f"engine={self.engine!r}"
        return f"{type(self).__name__}({where}, max_retries={self.max_retries})"

    @property
    def base_url(self) -> httpx2.URL:
        """Address of the server; its path ends in a slash. May be set to a str.

        Setting it looks up the credentials of the environment for the new address.
        """
        return self._base_url

    @base_url.setter
    def base_url(self, url: str | httpx2.URL) -> None:
        if self.engine is not None:
            raise ValueError("engine runs without a server: base_url cannot be set")
        self._set_address(url)

    def _set_address(self, base_url: str | httpx2.URL | None) -> None:
        """Set the address, and the environment's credentials for it."""
        environment = self._environment
        url, source = base_url, "base_url"
        if self.engine is not None:
            url = _EMBEDDED_URL
        elif url is None and environment.base_url is not None:
            url, source = environment.base_url, environment.base_url_source
        self._base_url = parse_base_url(DEFAULT_BASE_URL if url is None else url, source)
        self._base_url_argument = base_url
        self._urls: dict[str, httpx2.URL] = {}
        found = Credentials()
        if self.engine is None:
            found = environment.credentials(None if base_url is None else str(self._base_url))
        _check_headers(found.headers, f" in {found.sources.get('headers')}")
        self._environment_headers = found.headers
        if self._uses_environment_credentials():
            self.api_key, self.auth_token = found.api_key, found.auth_token
            self._environment_credentials = (self.api_key, self.auth_token)
            for name, secret in (("api_key", self.api_key), ("auth_token", self.auth_token)):
                if secret is not None:
                    _check_value(secret, f"{name} from {found.sources[name]}")

    def _uses_environment_credentials(self) -> bool:
        return self._environment_credentials == (self.api_key, self.auth_token)

    @property
    def auth_headers(self) -> dict[str, str]:
        """The headers of the API key and the token, if set."""
        headers = {}
        if self.api_key:
            headers["x-api-key"] = self.api_key
        if self.auth_token:
            headers["authorization"] = f"Bearer {self.auth_token}"
        return headers

    @property
    def default_headers(self) -> dict[str, str]:
        """The headers of every request, with lower-case names."""
        custom = {**self._environment_headers, **self._own_headers}
        return {
            "accept": "application/json",
            "content-type": "application/json",
            "user-agent": f"Tenuto/Python {__version__}",
            "anthropic-version": _API_VERSION,
            **self.auth_headers,
            **{name.lower(): value for name, value in custom.items()},
        }

    @property
    def default_query(self) -> dict[str, object]:
        """The parameters of every URL."""
        return dict(self._query)

    def _url(self, path: str) -> httpx2.URL:
        """Return the URL of a path. Cached: parsing a URL costs as much as parsing a response."""
        url = self._urls.get(path)
        if url is None:
            url = endpoint(self._base_url, path)
            if len(self._urls) < _MAX_CACHED_URLS:
                self._urls[path] = url
        return url

    def _request_parts(self, call: Call[Any]) -> dict[str, Any]:
        """Return the arguments of httpx2's `build_request` for a call."""
        headers = self.default_headers
        for name, value in (call.headers or {}).items():
            _check_name(name)
            if isinstance(value, Omit):
                headers.pop(name.lower(), None)
            else:
                headers[name.lower()] = value
        for name, value in headers.items():
            _check_value(value, f"the header {name}")
        content = call.content
        if content is None:
            headers.pop("content-type", None)
        timeout = self.timeout if isinstance(call.timeout, NotGiven) else call.timeout
        return {
            "method": call.method,
            "url": self._url(call.path),
            "headers": headers,
            "content": content,
            "params": (self._query | dict(call.query or {})) or None,
            "timeout": _as_timeout(timeout),
        }


def _check_headers(headers: Mapping[str, str], source: str = "") -> None:
    for name, value in headers.items():
        _check_name(name)
        _check_value(value, f"the header {name}{source}")


def _as_timeout(value: object) -> httpx2.Timeout:
    """Convert a timeout option, which may be an `httpx.Timeout` of the older library."""
    if value is None or isinstance(value, int | float | httpx2.Timeout):
        return httpx2.Timeout(value)
    try:
        phases = {name: getattr(value, name) for name in ("connect", "read", "write", "pool")}
    except AttributeError:
        raise TypeError(
            f"timeout must be seconds, an httpx2.Timeout or None, not {type(value).__name__}"
        ) from None
    return httpx2.Timeout(**phases)


def _check_value(value: object, name: str) -> None:
    """Check the value of a header; errors have the name and never the value."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if value.isascii() and value.isprintable() and value == value.strip():
        return
    if value != value.strip():
        fault = "whitespace at its beginning or end; strip it"
    elif not value.isascii():
        position = next(at for at, letter in enumerate(value) if not letter.isascii())
        fault = f"a character outside ASCII, such as a typographic quote, at position {position}"
    else:
        fault = "a line break or another control character"
    raise ValueError(f"{name} is not valid in a header: it contains {fault}")


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a header must be a str, not {type(name).__name__}")
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name[:_MAX_SHOWN]!a} is not a valid name of a header")
