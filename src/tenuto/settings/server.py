"""`[server]`, `[limits]`, `[api]`, `[playground]` and `[log]`: settings of the HTTP server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Annotated, Final, Literal

from annotated_types import Ge, Le, Predicate

from tenuto.quantities import Amount, Count, Positive, Seconds
from tenuto.settings.file import SettingsError
from tenuto.settings.tree import Keys

API_KEYS: Final[Keys] = ("server", "api_keys")

_HASH = re.compile(r"sha256:[0-9a-f]{64}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`[server]`: address, keys and connections.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        workers: Processes that run requests, 1 to 64. With more than one, a further process has
            the keys, the limits and the ledger.
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
        drain_delay_s: Time after SIGTERM in which new requests are still served while `/ready`
            reports 503, in seconds. As long as load balancers take to notice it.
        shutdown_grace_s: Time for running requests after that delay, in seconds.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Ge(0), Le(65535)] = 8000
    workers: Annotated[int, Ge(1), Le(64)] = 1
    api_keys: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    keep_alive_s: Positive = 75.0
    ping_interval_s: Positive = 10.0
    drain_delay_s: Seconds = 0.0
    shutdown_grace_s: Seconds = 10.0


@dataclass(frozen=True, slots=True)
class DefaultLimits:
    """`[limits.default]`: limits of each API key without its own, and of each address without one.

    Unset: no limit.

    Attributes:
        requests_per_minute: Most requests per minute. After a pause, as many may come at once.
        input_tokens_per_minute: Most tokens of prompts per minute.
        output_tokens_per_minute: Most tokens of completions per minute. A running request counts
            with its `max_tokens_to_sample`.
        concurrent: Most requests that run at once. Further ones are refused at once.
    """

    requests_per_minute: Amount | None = None
    input_tokens_per_minute: Amount | None = None
    output_tokens_per_minute: Amount | None = None
    concurrent: Amount | None = None


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """`[limits]`: bounds of requests and connections.

    Attributes:
        max_body_bytes: Largest request body. None: enough for the longest prompt of the model's
            context, at most 32 MiB, the service's own limit; 8 MiB for an unknown context.
        max_bytes_in_flight: Most bytes of all bodies at a time, from arrival to the end of the
            response. Further requests are refused as overloaded.
        max_header_bytes: Largest head of a request: request line and all headers.
        max_json_depth: Deepest nesting of a body. The API itself needs 3.
        max_turns: Most turns of a prompt.
        max_choices: Most completions of one request of OpenAI's APIs: prompts times `n`.
        max_stop_sequences: Most stop sequences of a request.
        max_stop_sequence_chars: Longest stop sequence, in characters.
        max_stop_sequences_total_chars: Most characters of all stop sequences of a request.
        head_timeout_s: Time limit for the head of a request, in seconds.
        body_timeout_s: Time limit for the body, in seconds.
        max_connections: Most open connections. The requests of 256 further ones are refused, and
            connections beyond these are closed.
        default: Limits of callers.
    """

    max_body_bytes: Count | None = None
    max_bytes_in_flight: Count = 256 * 1024 * 1024
    max_header_bytes: Annotated[int, Ge(1024)] = 64 * 1024
    max_json_depth: Count = 32
    max_turns: Count = 10_000
    max_choices: Count = 128
    max_stop_sequences: Annotated[int, Ge(0)] = 1024
    max_stop_sequence_chars: Count = 4096
    max_stop_sequences_total_chars: Count = 64 * 1024
    head_timeout_s: Positive = 30.0
    body_timeout_s: Positive = 60.0
    max_connections: Count = 4096
    default: DefaultLimits = field(default_factory=DefaultLimits)


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`[api]`: strictness and extensions of the API.

    Attributes:
        strict_models: Refuse models that the service never offered for Text Completions, except
            the loaded model.
        lenient_prompts: Complete prompts without turns as they are, for base models, instead of
            refusing them.
        organization_id: Value of the response header `anthropic-organization-id`.
        extensions: Allow fields that the service never had, such as `seed` and `logprobs`, and
            report the token usage of each completion.
    """

    strict_models: bool = False
    lenient_prompts: bool = False
    organization_id: Annotated[str, Predicate(str.isascii)] = "00000000-0000-0000-0000-000000000000"
    extensions: bool = False


@dataclass(frozen=True, slots=True)
class MetricSettings:
    """`[metrics]`: figures for Prometheus at `/metrics`.

    Attributes:
        enabled: Count requests, and serve `/metrics`.
        max_keys: Most API keys with figures of their own, in the order of their first requests.
            Those of further keys are added up under the name `other`.
    """

    enabled: bool = True
    max_keys: Annotated[int, Ge(0), Le(10_000)] = 100


@dataclass(frozen=True, slots=True)
class PlaygroundSettings:
    """`[playground]`: the page for browsers at `/playground`.

    Attributes:
        enabled: Serve the page. None: only on a loopback address.
    """

    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[log]`: the log on standard error.

    Attributes:
        level: The lowest level to write. Each request is a line at `info`, or at `warning` if an
            operator should see it; probes of `/health` and `/ready` are logged at `debug`.
        format: `text`, or `json` with an object on each line.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


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


def normalise_api_keys(keys: object, *, in_file: bool) -> list[str]:
    """Normalise the hashes in a list of keys, and return a line for each invalid key.

    Values of another type are reported later.
    """
    mistakes: list[str] = []
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return mistakes
    for number, key in enumerate(keys, 1):
        if _HASH.fullmatch(key.strip()):
            # No key has a hash with blanks or capitals.
            keys[number - 1] = key.strip().lower()
        elif key.strip().lower().startswith("sha256:"):
            mistakes.append(
                f"number {number} is not `sha256:` and 64 hexadecimal digits; make one with "
                "`tenuto keys hash`"
            )
        elif in_file:
            mistakes.append(
                f"a file holds hashes only, and number {number} is a plain key; hash it with "
                "`tenuto keys hash`"
            )
        elif not (key.isascii() and key.isprintable()):
            mistakes.append(f"number {number} must be printable ASCII, because a header carries it")
    return mistakes


def address_mistakes(server: ServerSettings) -> dict[Keys, str]:
    """Return the mistakes in the host and in the trusted proxies."""
    mistakes: dict[Keys, str] = {}
    try:
        bare_host(server.host)
    except SettingsError as error:
        mistakes["server", "host"] = str(error)
    for number, entry in enumerate(server.trusted_proxies, 1):
        try:
            ip_network(entry, strict=False)
        except ValueError:
            # Not the text itself: it may be a key, or a URL with a password.
            mistakes["server", "trusted_proxies"] = (
                f"number {number} must be an address or a network, as in "
                '["127.0.0.1", "10.0.0.0/8"]'
            )
    return mistakes
