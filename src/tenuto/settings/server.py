"""`[server]`: address, keys and connections."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le

from tenuto.quantities import Positive, Seconds
from tenuto.settings.file import SettingsError
from tenuto.settings.tree import Keys

_HASH = re.compile(r"sha256:[0-9a-f]{64}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`[server]`: who may connect, and how.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        api_keys: Who may ask: hashes of keys, from `tenuto keys hash`; in the environment also
            the keys themselves, separated by commas. Without any, everyone may who can connect.
        allowed_hosts: Names that the `host` header may have, besides those of this machine,
            while the server listens on a loopback address.
        cors_origins: Web pages from these origins may ask; `*` for all.
        trusted_proxies: Addresses and networks of proxies whose `X-Forwarded-For` or `Forwarded`
            header gives the client's address for the log.
        keep_alive_s: How long an idle connection stays open for a further request. Above the 60 s
            after which common proxies and pools close theirs, so that they close first.
        ping_interval_s: A stream that is quiet for so long sends a ping. Below the 15 s that
            the strictest common proxies allow.
        shutdown_grace_s: How long running answers may go on after a signal to stop.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Ge(0), Le(65535)] = 8000
    api_keys: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    keep_alive_s: Positive = 75.0
    ping_interval_s: Positive = 10.0
    shutdown_grace_s: Seconds = 10.0


def bare_host(text: str) -> str:
    """Return an address to listen on without the brackets that IPv6 has in a URL.

    Raises:
        SettingsError: It is a URL, or has a port.
    """
    host = text.strip()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if "/" in host or "[" in host or "]" in host or not host or host.count(":") == 1:
        raise SettingsError("must be an address or a name alone; the port has a setting of its own")
    return host


def check_api_keys(
    values: Mapping[str, Any], origins: Mapping[Keys, str], path: Path | None, mistakes: list[str]
) -> None:
    """Check the form of hashes, and that a file holds nothing else."""
    server = values.get("server", {})
    keys = server.get("api_keys")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return
    source = origins.get(("server", "api_keys"), path)
    in_file = path is not None and source == str(path)
    for number, key in enumerate(keys, 1):
        if _HASH.fullmatch(key.strip()):
            # A stray blank or capitals would make a hash that no key has.
            keys[number - 1] = key.strip().lower()
        elif key.strip().lower().startswith("sha256:"):
            mistakes.append(
                f"{source}: [server] api_keys: number {number} is not `sha256:` and 64 hexadecimal "
                "digits; make one with `tenuto keys hash`"
            )
        elif in_file:
            mistakes.append(
                f"{source}: [server] api_keys: a file holds hashes only, and number {number} is "
                "none; make one with `tenuto keys hash`"
            )
        elif not (key.isascii() and key.isprintable()):
            mistakes.append(
                f"{source}: [server] api_keys: number {number} has letters that no header can "
                "carry; keys are printable ASCII"
            )


def with_bare_host(server: ServerSettings, origins: Mapping[Keys, str]) -> ServerSettings:
    """Return the settings with the host in its bare form.

    Raises:
        SettingsError: It is a URL, or has a port.
    """
    try:
        return replace(server, host=bare_host(server.host))
    except SettingsError as error:
        source = origins.get(("server", "host"), "")
        raise SettingsError(f"{source}: [server] host: {error}") from None


def check_proxies(server: ServerSettings, origins: Mapping[Keys, str]) -> None:
    """Check that trusted proxies are addresses or networks.

    Raises:
        SettingsError: One is neither.
    """
    for entry in server.trusted_proxies:
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            source = origins.get(("server", "trusted_proxies"), "")
            raise SettingsError(
                f"{source}: [server] trusted_proxies: {entry!r} must be an address or a network, "
                'as in ["127.0.0.1", "10.0.0.0/8"]'
            ) from None
