"""The variables that a client reads, and the addresses that each credential may be sent to.

Credentials belong to an address. What `TENUTO_…` variables hold is sent to the address that the
caller names, to the one in TENUTO_BASE_URL, and to the default address. What `ANTHROPIC_…`
variables hold is sent to Anthropic's own address, and to the one in ANTHROPIC_BASE_URL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from tenuto.settings.variables import present

ANTHROPIC_URL: Final = "https://api.anthropic.com"

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the environment allows to be sent to one address.

    Attributes:
        api_key: For `x-api-key`.
        auth_token: For `Authorization: Bearer`.
        headers: More headers, which may hold secrets of their own.
        sources: The variable that each of `api_key`, `auth_token` and `headers` comes from.
    """

    api_key: str | None = field(default=None, repr=False)
    auth_token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClientEnvironment:
    """The variables of a client, as they were when it was made.

    Attributes:
        base_url: From TENUTO_BASE_URL, or else ANTHROPIC_BASE_URL.
        base_url_source: The variable that `base_url` comes from, "" for none.
    """

    base_url: str | None
    base_url_source: str
    _variables: Mapping[str, str] = field(repr=False)

    def credentials(self, base_url: str | None = None) -> Credentials:
        """Return the credentials for an address.

        Args:
            base_url: The address that the caller names. None: `base_url`, or without that the
                default address.
        """
        families = self._families(base_url)
        found: dict[str, str] = {}
        sources: dict[str, str] = {}
        for name in ("API_KEY", "AUTH_TOKEN", "CUSTOM_HEADERS"):
            for family in families:
                variable = f"{family}_{name}"
                if (value := self._variables.get(variable)) is not None:
                    found[name], sources[name] = value, variable
                    break
        return Credentials(
            found.get("API_KEY"),
            found.get("AUTH_TOKEN"),
            _headers(found.get("CUSTOM_HEADERS", "")),
            {
                key: sources[name]
                for key, name in (
                    ("api_key", "API_KEY"),
                    ("auth_token", "AUTH_TOKEN"),
                    ("headers", "CUSTOM_HEADERS"),
                )
                if name in sources
            },
        )

    def _families(self, base_url: str | None) -> list[str]:
        """Return whose variables may be sent to an address, the first of them first."""
        theirs = self._variables.get("ANTHROPIC_BASE_URL")
        if base_url is None:
            base_url = self.base_url
            if self.base_url_source == "ANTHROPIC_BASE_URL":
                return ["ANTHROPIC"]
        if base_url is None:
            return ["TENUTO"]
        origin = origin_of(base_url)
        if origin == origin_of(ANTHROPIC_URL):
            return ["ANTHROPIC"]
        if theirs is not None and origin is not None and origin == origin_of(theirs):
            return ["TENUTO", "ANTHROPIC"]
        return ["TENUTO"]


def client_environment(environment: Mapping[str, str] = os.environ) -> ClientEnvironment:
    """Return the variables of a client. An empty variable counts as not set."""
    variables = {}
    for family in ("TENUTO", "ANTHROPIC"):
        for name in ("API_KEY", "AUTH_TOKEN", "BASE_URL", "CUSTOM_HEADERS"):
            if (value := present(environment, f"{family}_{name}")) is not None:
                variables[f"{family}_{name}"] = value
    source = next((f for f in ("TENUTO_BASE_URL", "ANTHROPIC_BASE_URL") if f in variables), "")
    return ClientEnvironment(variables.get(source), source, variables)


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Return the scheme, host and port of an address; None if it has no such thing."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.scheme, parts.hostname.rstrip("."), port) if parts.hostname else None


def _headers(text: str) -> dict[str, str]:
    """Return the headers in a variable: a line each, `name: value`."""
    pairs = (line.partition(":") for line in text.split("\n") if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
