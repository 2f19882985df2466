"""The settings, one frozen tree, and where they come from.

    built-in defaults  <  tenuto.toml  <  environment  <  command line

A key of the file is the name of an attribute in the section of its class; the variable in the
environment is `TENUTO_`, section and key, joined with underscores and in capitals: `port` of
`[server]` is `TENUTO_SERVER_PORT`. The environment and the file are read here and nowhere else.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from annotated_types import Ge, Gt, Le

from tenuto.settings_upstreams import (
    KINDS,
    RouteError,
    RouteSettings,
    Upstream,
    check_routes,
    completed,
)

DEFAULT_FILE = Path("tenuto.toml")

_Section = TypeVar("_Section")

Positive = Annotated[float, Gt(0)]
Seconds = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(1)]


class SettingsError(ValueError):
    """A setting is unknown or wrong. The message is one line and names it."""


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """`[engine.local]`: the embedded engine.

    Attributes:
        model: A GGUF file, the name of a downloaded model, or `hf:org/repo:file`; none for the
            built-in model. A path in a settings file counts from the file's folder, and is told
            from a name by what is there, or by its ending.
        max_running: Most completions written at the same time.
        max_waiting: Most accepted jobs that wait for a place; more are refused as overloaded.
        kv_cache_mib: Memory of the KV cache in MiB. None: as much as `max_running` completions
            of full length need, but at most a quarter of the memory of the machine or container.
        context: Most tokens of prompt and completion together. None: as many as the model was
            trained with, if the KV cache holds them.
        batch_tokens: Most tokens computed in one step. A longer prompt is split, and between its
            parts the running completions go on.
        threads: Threads that compute. None: one for each core that the machine, or its container,
            gives to this process.
        runtime: The library that runs the model. `auto`: OpenVINO for the models that it reads,
            where it is installed, and llama.cpp for all others.
        format: What the model is given: `raw`, the prompt as text; `chat`, its turns in the
            model's own chat template; `auto`, the template if the model has one and is not
            called a base model.
        special_tokens_in_raw: Whether text that spells a control token of the model is that token
            in prompts that the model is given as text. In a chat template it never is.
        step_timeout_s: A worker that gives no sign of life for so long while it has work is
            killed and replaced, in seconds. More than the longest step may take, one of
            `batch_tokens`.
        load_wait_s: How long a request waits for a model that is still loading, in seconds.
    """

    model: Path | str | None = None
    max_running: Count = 64
    max_waiting: Annotated[int, Ge(0)] = 256
    kv_cache_mib: Count | None = None
    context: Count | None = None
    batch_tokens: Annotated[int, Ge(32), Le(8192)] = 512
    threads: Count | None = None
    runtime: Literal["auto", "openvino", "llamacpp"] = "auto"
    format: Literal["auto", "raw", "chat"] = "auto"
    special_tokens_in_raw: bool = True
    step_timeout_s: Positive = 120.0
    load_wait_s: Seconds = 30.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`[engine]`: which engine answers.

    Attributes:
        name: `local`; `routes`, for servers behind this one; or `echo`, which repeats the
            question, for tests.
        local: The embedded engine.
        upstreams: The servers behind this one, by name. Only a file can have them.
        routes: Which of them answers to which models. None: all of them to all models, in
            their order.
    """

    name: Literal["local", "routes", "echo"] = "local"
    local: LocalSettings = field(default_factory=LocalSettings)
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    routes: tuple[RouteSettings, ...] = ()


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


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """`[limits]`: what one client may ask of the server.

    Attributes:
        max_body_bytes: Largest request body; the service's own limit is 32 MB.
        max_header_bytes: Largest head of a request: its first line and all headers.
        max_json_depth: Deepest nesting of a body; the API itself needs 3.
        max_stop_sequences: Most stop sequences of a request.
        max_stop_sequence_chars: Longest stop sequence, in characters.
        max_stop_sequences_total_chars: Most characters of all stop sequences of a request.
        head_timeout_s: How long the head of a request may take to arrive.
        body_timeout_s: How long the body may take after it.
        max_connections: Most open connections; more are closed after an error.
    """

    max_body_bytes: Count = 32 * 1024 * 1024
    max_header_bytes: Annotated[int, Ge(1024)] = 64 * 1024
    max_json_depth: Count = 32
    max_stop_sequences: Annotated[int, Ge(0)] = 1024
    max_stop_sequence_chars: Count = 4096
    max_stop_sequences_total_chars: Count = 64 * 1024
    head_timeout_s: Positive = 30.0
    body_timeout_s: Positive = 60.0
    max_connections: Count = 4096


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[log]`: what the server writes to standard error.

    Attributes:
        level: The least level that is written. Each request is a line at `info`, at `warning` if
            an operator should see it; probes of `/health` and `/ready` are at `debug`.
        format: `text`, or `json` for one object a line.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`[api]`: how strictly the API's rules are taken.

    Attributes:
        strict_models: Refuse models that the service never offered for Text Completions, unless
            it is the one that answers.
        strict_betas: Refuse names in `anthropic-beta` that were never published.
        lenient_prompts: Complete prompts without turns as they are, as base models are used,
            instead of refusing them.
        organization_id: Sent as `anthropic-organization-id`, as the service does.
        extensions: Allow fields that the service never had: `seed`, `logprobs` and `echo`; and
            tell what each completion took.
    """

    strict_models: bool = False
    strict_betas: bool = False
    lenient_prompts: bool = False
    organization_id: str = "00000000-0000-0000-0000-000000000000"
    extensions: bool = False


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """`[models]`: the models that `tenuto pull` downloads.

    Attributes:
        folder: Where they are kept. None: `tenuto/models` in the user's cache folder.
    """

    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings."""

    server: ServerSettings = field(default_factory=ServerSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    log: LogSettings = field(default_factory=LogSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    models: ModelSettings = field(default_factory=ModelSettings)


def load(file: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """The effective settings, before the command line.

    Args:
        file: A TOML file that must exist; None for `tenuto.toml` in this folder, if it is there.
        environment: Where `TENUTO_…` variables are looked up.

    Raises:
        SettingsError: A key is unknown, or a value is wrong.
    """
    path = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    values: dict[str, Any] = _read(path) if path is not None else {}
    for name, keys, parse_list in _variables(Settings, ()):
        text = environment.get(name)
        if text is None:
            continue
        section: dict[str, Any] = values
        for key in keys[:-1]:
            section = section.setdefault(key, {})
        items = [item.strip() for item in text.split(",") if item.strip()]
        section[keys[-1]] = items if parse_list else text
    engine = values.get("engine", {})
    for name, one in engine.get("upstreams", {}).items():
        where = f"engine.upstreams.{name}"
        engine["upstreams"][name] = _validated(KINDS[one["kind"]], one, where)
    settings = _with_upstreams(_validated(Settings, values, ""), environment)
    _check_proxies(settings.server.trusted_proxies)
    return settings


def _check_proxies(entries: tuple[str, ...]) -> None:
    for entry in entries:
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            raise SettingsError(
                f"[server] trusted_proxies: {entry!r} must be an address or a network, as in "
                '["127.0.0.1", "10.0.0.0/8"]'
            ) from None


def _validated(kind: type[_Section], values: Mapping[str, Any], section: str) -> _Section:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        *parts, key = [str(part) for part in first["loc"] if not str(part).isdigit()]
        where = ".".join([*([section] if section else []), *parts])
        raise SettingsError(f"[{where}] {key}: {first['msg']}") from None


def _with_upstreams(settings: Settings, environment: Mapping[str, str]) -> Settings:
    engine = settings.engine
    if engine.name != "routes":
        if engine.upstreams or engine.routes:
            raise SettingsError('[engine] name: write "routes", so that the upstreams are used')
        return settings
    if not engine.upstreams:
        raise SettingsError("[engine] name: `routes` needs a section [engine.upstreams.NAME]")
    try:
        upstreams = completed(engine.upstreams, environment)
        check_routes(upstreams, engine.routes)
    except RouteError as error:
        raise SettingsError(str(error)) from None
    return replace(settings, engine=replace(engine, upstreams=upstreams))


def models_folder(settings: ModelSettings, environment: Mapping[str, str] = os.environ) -> Path:
    """Where downloaded models are kept: the setting, or else the user's cache folder."""
    if settings.folder is not None:
        return settings.folder.expanduser()
    cache = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tenuto" / "models"


@dataclass(frozen=True, slots=True)
class ClientEnvironment:
    """What the environment tells a client: `TENUTO_…`, or else the official client's variables.

    Attributes:
        api_key: From TENUTO_API_KEY or ANTHROPIC_API_KEY.
        auth_token: From TENUTO_AUTH_TOKEN or ANTHROPIC_AUTH_TOKEN.
        base_url: From TENUTO_BASE_URL or ANTHROPIC_BASE_URL.
        headers: From TENUTO_CUSTOM_HEADERS or ANTHROPIC_CUSTOM_HEADERS: a line each,
            `name: value`.
    """

    api_key: str | None
    auth_token: str | None
    base_url: str | None
    headers: dict[str, str]


def client_environment(environment: Mapping[str, str] = os.environ) -> ClientEnvironment:
    """What the environment tells a client. An empty variable is none."""

    def either(name: str) -> str | None:
        return environment.get(f"TENUTO_{name}") or environment.get(f"ANTHROPIC_{name}") or None

    lines = (either("CUSTOM_HEADERS") or "").splitlines()
    pairs = (line.partition(":") for line in lines if ":" in line)
    return ClientEnvironment(
        either("API_KEY"),
        either("AUTH_TOKEN"),
        either("BASE_URL"),
        {name.strip(): value.strip() for name, _, value in pairs},
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    _check_keys(path, Settings, values, "")
    keys = values.get("server", {}).get("api_keys", [])
    if isinstance(keys, list) and not all(str(key).startswith("sha256:") for key in keys):
        raise SettingsError(
            f"{path}: [server] api_keys: a file holds hashes only; make one with `tenuto keys hash`"
        )
    local = values.get("engine", {}).get("local", {})
    if isinstance(local.get("model"), str):
        local["model"] = _file_or_name(path.parent, local["model"])
    models = values.get("models", {})
    if isinstance(models.get("folder"), str):
        models["folder"] = path.parent / Path(models["folder"]).expanduser()
    return values


def _file_or_name(folder: Path, model: str) -> Path | str:
    """A model in a settings file: a path from the file's folder on, or a name, left as it is."""
    path = folder / Path(model).expanduser()
    is_path = path.exists() or (model.endswith(".gguf") and ":" not in model)
    return path if is_path else model


def _check_keys(path: Path, section: type, values: Mapping[str, Any], name: str) -> None:
    hints = get_type_hints(section)
    known = {entry.name: hints[entry.name] for entry in dataclasses.fields(section)}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(known)}"
            raise SettingsError(f"{path}: [{name}] has no key `{key}`; {hint}")
        inner = known[key]
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            below = f"{name}.{key}" if name else key
            if not isinstance(value, dict):
                raise SettingsError(f"{path}: `{below}` is a section: write [{below}]")
            _check_keys(path, inner, value, below)
    if section is EngineSettings:
        _check_upstreams(path, values)


def _check_upstreams(path: Path, engine: Mapping[str, Any]) -> None:
    """The parts of `[engine]` that come in any number."""
    upstreams, routes = engine.get("upstreams", {}), engine.get("routes", [])
    if not isinstance(upstreams, dict) or not all(isinstance(v, dict) for v in upstreams.values()):
        raise SettingsError(f"{path}: write a section [engine.upstreams.NAME] for each upstream")
    if not isinstance(routes, list) or not all(isinstance(route, dict) for route in routes):
        raise SettingsError(f"{path}: write a section [[engine.routes]] for each route")
    for name, upstream in upstreams.items():
        kind = upstream.get("kind")
        if kind not in KINDS:
            there = ", ".join(KINDS)
            raise SettingsError(f"{path}: [engine.upstreams.{name}] kind: there are: {there}")
        _check_keys(path, KINDS[kind], upstream, f"engine.upstreams.{name}")
    for route in routes:
        _check_keys(path, RouteSettings, route, "engine.routes")


def _variables(
    section: type, above: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Every setting: its variable, its keys from the top, and whether it is a list."""
    hints = get_type_hints(section)
    for entry in dataclasses.fields(section):
        keys = (*above, entry.name)
        kind = hints[entry.name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from _variables(kind, keys)
        elif section is not EngineSettings or entry.name not in ("upstreams", "routes"):
            yield "TENUTO_" + "_".join(keys).upper(), keys, kind == tuple[str, ...]
