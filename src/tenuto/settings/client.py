"""The variables of a client, and the addresses that each credential may be sent to.

`TENUTO_…` credentials are sent to the address that the caller names, the address in
TENUTO_BASE_URL, and the default address. `ANTHROPIC_…` credentials are sent to Anthropic's own
address, and to the address in ANTHROPIC_BASE_URL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from tenuto.settings.variables import present

ANTHROPIC_URL: Final = "https://api.anthropic.com"

VARIABLES: Final = ("API_KEY", "AUTH_TOKEN", "BASE_URL", "CUSTOM_HEADERS")
"""The names of all variables, without the prefix."""

_CREDENTIALS = {"api_key": "API_KEY", "auth_token": "AUTH_TOKEN", "headers": "CUSTOM_HEADERS"}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials in the environment for one address.

    Attributes:
        api_key: For `x-api-key`.
        auth_token: For `Authorization: Bearer`.
        headers: Further headers, which may hold secrets.
        sources: The variable of each of `api_key`, `auth_token` and `headers`.
    """

    api_key: str | None = field(default=None, repr=False)
    auth_token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClientEnvironment:
    """The variables of a client at its creation.

    Attributes:
        base_url: From TENUTO_BASE_URL, or else ANTHROPIC_BASE_URL.
        base_url_source: The variable of `base_url`; "" without one.
    """

    base_url: str | None
    base_url_source: str
    _variables: Mapping[str, str] = field(repr=False)

    def credentials(self, base_url: str | None = None) -> Credentials:
        """Return the credentials for an address.

        Args:
            base_url: The address that the caller names. None: the environment's, or else the
                default address.
        """
        sources: dict[str, str] = {}
        for key, variable in _CREDENTIALS.items():
            for family in self._families(base_url):
                if (name := f"{family}_{variable}") in self._variables:
                    sources.setdefault(key, name)
        values = {key: self._variables[source] for key, source in sources.items()}
        return Credentials(
            values.get("api_key"),
            values.get("auth_token"),
            _headers(values.get("headers", "")),
            sources,
        )

    def _families(self, base_url: str | None) -> tuple[str, ...]:
        """Return the families of variables that may be sent to an address, by precedence."""
        if base_url is None and self.base_url_source == "ANTHROPIC_BASE_URL":
            return ("ANTHROPIC",)
        origin = origin_of((self.base_url if base_url is None else base_url) or "")
        if origin is None:
            return ("TENUTO",)
        if origin == origin_of(ANTHROPIC_URL):
            return ("ANTHROPIC",)
        named = origin == origin_of(self._variables.get("ANTHROPIC_BASE_URL", ""))
        return ("TENUTO", "ANTHROPIC") if named else ("TENUTO",)


def client_environment(environment: Mapping[str, str] = os.environ) -> ClientEnvironment:
    """Return the variables of a client. An empty variable counts as not set."""
    names = [f"{family}_{name}" for family in ("TENUTO", "ANTHROPIC") for name in VARIABLES]
    found = {name: value for name in names if (value := present(environment, name)) is not None}
    source = next((name for name in ("TENUTO_BASE_URL", "ANTHROPIC_BASE_URL") if name in found), "")
    return ClientEnvironment(found.get(source), source, found)


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Return the scheme, host and port of an address; None for an invalid address."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.scheme, parts.hostname.rstrip("."), port) if parts.hostname else None


def _headers(text: str) -> dict[str, str]:
    """Parse headers: a line each, `name: value`."""
    pairs = (line.partition(":") for line in text.split("\n") if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
