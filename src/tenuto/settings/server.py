"""`[server]`: address, keys and connections."""

from __future__ import annotations

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
    """`[server]`: address, keys and connections.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        api_keys: Hashes of accepted API keys, from `tenuto keys hash`; in the environment also
            the keys themselves, separated by commas. Empty: no key is required.
        allowed_hosts: Further names for the `host` header, besides this machine's, while the server
            listens on a loopback address.
        cors_origins: Origins of web pages that may send requests; `*` for all.
        trusted_proxies: Addresses and networks of proxies whose `X-Forwarded-For` or `Forwarded`
            header gives the client's address for the log.
        keep_alive_s: Time until an idle connection is closed, in seconds. Above the 60 s of common
            proxies and pools, so that they close first.
        ping_interval_s: Time without an event until a stream sends a ping, in seconds. Below the
            15 s of the strictest common proxies.
        shutdown_grace_s: Time for running requests after a signal to stop, in seconds.
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
    """Return an address to listen on, without the brackets of IPv6 in URLs.

    Raises:
        SettingsError: The text is a URL, or has a port.
    """
    host = text.strip()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if "/" in host or "[" in host or "]" in host or not host or host.count(":") == 1:
        raise SettingsError("must be an address or a name alone; set the port with `port`")
    return host


def check_api_keys(
    values: Mapping[str, Any], origins: Mapping[Keys, str], path: Path | None, mistakes: list[str]
) -> None:
    """Normalise the hashes of keys; report malformed ones, and plain keys in a file."""
    server = values.get("server", {})
    keys = server.get("api_keys")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return
    source = origins.get(("server", "api_keys"), path)
    in_file = path is not None and source == str(path)
    for number, key in enumerate(keys, 1):
        if _HASH.fullmatch(key.strip()):
            # No key has a hash with blanks or capitals.
            keys[number - 1] = key.strip().lower()
        elif key.strip().lower().startswith("sha256:"):
            mistakes.append(
                f"{source}: [server] api_keys: number {number} is not `sha256:` and 64 hexadecimal "
                "digits; make one with `tenuto keys hash`"
            )
        elif in_file:
            mistakes.append(
                f"{source}: [server] api_keys: a file holds hashes only, and number {number} is a "
                "plain key; hash it with `tenuto keys hash`"
            )
        elif not (key.isascii() and key.isprintable()):
            mistakes.append(
                f"{source}: [server] api_keys: number {number} must be printable ASCII, because "
                "a header carries it"
            )


def with_bare_host(server: ServerSettings, origins: Mapping[Keys, str]) -> ServerSettings:
    """Return the settings with a host without brackets.

    Raises:
        SettingsError: See `bare_host`.
    """
    try:
        return replace(server, host=bare_host(server.host))
    except SettingsError as error:
        source = origins.get(("server", "host"), "")
        raise SettingsError(f"{source}: [server] host: {error}") from None


def check_proxies(server: ServerSettings, origins: Mapping[Keys, str]) -> None:
    """Check that trusted proxies are addresses or networks.

    Raises:
        SettingsError: An entry is neither.
    """
    if not server.trusted_proxies:
        return
    # Imported late because few servers have proxies.
    import ipaddress

    for entry in server.trusted_proxies:
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            source = origins.get(("server", "trusted_proxies"), "")
            raise SettingsError(
                f"{source}: [server] trusted_proxies: {entry!r} must be an address or a network, "
                'as in ["127.0.0.1", "10.0.0.0/8"]'
            ) from None
