"""The settings, one frozen tree, and where they come from.

    built-in defaults  <  tenuto.toml  <  environment  <  command line

A key of the file is the name of an attribute in the section of its class; the variable in the
environment is `TENUTO_`, section and key, joined with underscores and in capitals: `port` of
`[server]` is `TENUTO_SERVER_PORT`. The environment and the file are read here and nowhere else.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Le, Predicate

from tenuto import settings_tree, settings_variables
from tenuto.engine.local.runtimes import NAMES as RUNTIMES
from tenuto.quantities import Count, Positive, Seconds
from tenuto.settings_file import SettingsError, read_toml
from tenuto.settings_tree import Keys, named
from tenuto.settings_upstreams import (
    KINDS,
    RouteError,
    RouteSettings,
    Upstream,
    check_routes,
    completed,
)

__all__ = ["SettingsError"]

DEFAULT_FILE = Path("tenuto.toml")

CLIENT_VARIABLES = frozenset(
    {"TENUTO_API_KEY", "TENUTO_AUTH_TOKEN", "TENUTO_BASE_URL", "TENUTO_CUSTOM_HEADERS"}
)

if TYPE_CHECKING:
    _Runtime = str
else:
    _Runtime = Literal[("auto", *RUNTIMES)]

_HASH = re.compile(r"sha256:[0-9a-f]{64}", re.IGNORECASE)


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
        prefix_cache: Who finds the beginnings of earlier prompts computed already: `shared`, all
            callers; `per_key`, those with the same API key; `off`, nobody.
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
    runtime: _Runtime = "auto"
    format: Literal["auto", "raw", "chat"] = "auto"
    special_tokens_in_raw: bool = True
    prefix_cache: Literal["shared", "per_key", "off"] = "shared"
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
        max_body_bytes: Largest request body. None: what the longest prompt of the model's context
            may need, at most 32 MiB, the service's own limit; 8 MiB where no context is known.
        max_bytes_in_flight: Most bytes of all bodies at a time, from their arrival to the end of
            their answers. More are refused as overloaded.
        max_header_bytes: Largest head of a request: its first line and all headers.
        max_json_depth: Deepest nesting of a body; the API itself needs 3.
        max_turns: Most turns of a prompt.
        max_stop_sequences: Most stop sequences of a request.
        max_stop_sequence_chars: Longest stop sequence, in characters.
        max_stop_sequences_total_chars: Most characters of all stop sequences of a request.
        head_timeout_s: How long the head of a request may take to arrive.
        body_timeout_s: How long the body may take after it.
        max_connections: Most open connections; the next 256 are refused when they ask, and any
            beyond these are closed.
    """

    max_body_bytes: Count | None = None
    max_bytes_in_flight: Count = 256 * 1024 * 1024
    max_header_bytes: Annotated[int, Ge(1024)] = 64 * 1024
    max_json_depth: Count = 32
    max_turns: Count = 10_000
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
    organization_id: Annotated[str, Predicate(str.isascii)] = "00000000-0000-0000-0000-000000000000"
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


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where they come from.

    Attributes:
        settings: The effective settings, before the command line.
        file: The file that was read. None: there is none.
        origins: The file or the variable of each setting that is not a default.
        ignored: Variables of Kubernetes or Docker that have the name of a setting, or that are
            not part of a whole set.
    """

    settings: Settings
    file: Path | None
    origins: settings_tree.Origins
    ignored: tuple[str, ...]


def load(file: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the effective settings, before the command line.

    Args:
        file: A TOML file that must exist; None for `tenuto.toml` in this folder, if it is there.
        environment: Where `TENUTO_…` variables are looked up. An empty one counts as not set.

    Raises:
        SettingsError: A key or a variable is unknown, or a value is wrong.
    """
    return load_with_origins(file, environment).settings


def load_with_origins(
    file: Path | None = None, environment: Mapping[str, str] = os.environ
) -> Loaded:
    """Return the effective settings, and where each comes from. See `load`.

    Raises:
        SettingsError: See `load`. It lists every mistake.
    """
    path = file or (DEFAULT_FILE if os.path.lexists(DEFAULT_FILE) else None)
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    origins: dict[Keys, str] = {}
    if path is not None:
        values = read_toml(path, check_owner=file is None)
        lines = settings_tree.take_unknown(Settings, values) + _take_wrong_upstreams(values)
        mistakes += [f"{path}: {line}" for line in lines]
        origins |= dict.fromkeys(_set(values), str(path))
        _count_from(path.parent, values, mistakes)
    ignored = _add_variables(values, environment, origins, mistakes)
    _check_api_keys(values, origins, path, mistakes)

    upstreams = values.get("engine", {}).get("upstreams", {})
    for name in list(upstreams):
        above = ("engine", "upstreams", name)
        made, wrongs = settings_tree.validated(
            KINDS[upstreams[name]["kind"]], upstreams[name], above
        )
        upstreams[name] = made
        mistakes += [f"{path}: {named(keys)}: {wrong}" for keys, wrong in wrongs.items()]
        if made is None:
            del upstreams[name]
    settings, wrongs = settings_tree.validated(Settings, values)
    for keys, wrong in wrongs.items():
        source = origins.get(keys) or next(
            (origin for above, origin in origins.items() if above[: len(keys)] == keys), path
        )
        mistakes.append(f"{source}: {named(keys)}: {wrong}")
    if mistakes or settings is None:
        raise SettingsError(*mistakes)
    settings = replace(settings, server=_with_bare_host(settings.server, origins))
    _check_proxies(settings.server, origins)
    try:
        settings = _with_upstreams(settings, environment)
    except SettingsError as error:
        source = origins.get(("engine", "name"), path)
        raise SettingsError(*(f"{source}: {line}" for line in error.mistakes)) from None
    return Loaded(settings, path, origins, ignored)


def _set(values: Mapping[str, Any]) -> list[Keys]:
    """Return the settings that a file sets."""
    found = []
    for keys, _ in settings_tree.settings_of(Settings):
        section: Any = values
        for key in keys[:-1]:
            section = section.get(key, {})
        if keys[-1] in section:
            found.append(keys)
    return found


def _add_variables(
    values: dict[str, Any],
    environment: Mapping[str, str],
    origins: dict[Keys, str],
    mistakes: list[str],
) -> tuple[str, ...]:
    """Let the environment win over a file. Return the variables that are ignored."""
    variables = {
        "TENUTO_" + "_".join(keys).upper(): (keys, kind)
        for keys, kind in settings_tree.settings_of(Settings)
        if keys not in (("engine", "upstreams"), ("engine", "routes"))
    }
    mistakes += settings_variables.unknown(environment, variables.keys() | CLIENT_VARIABLES)
    ignored = []
    for name, (keys, kind) in variables.items():
        text = settings_variables.present(environment, name)
        if text is None:
            continue
        if settings_variables.is_foreign(name, environment):
            ignored.append(name)
            continue
        value: Any = text
        if settings_tree.is_list(kind):
            value = [item.strip() for item in text.split(",") if item.strip()]
            if not value:
                mistakes.append(f"{name}: {named(keys)}: there are only commas in it")
                continue
        section = values
        for key in keys[:-1]:
            section = section.setdefault(key, {})
        section[keys[-1]] = value
        origins[keys] = name
    return (*ignored, *settings_variables.incomplete(environment))


def _count_from(folder: Path, values: Mapping[str, Any], mistakes: list[str]) -> None:
    """Let the paths of a file count from the file's folder."""
    local, models = values.get("engine", {}).get("local", {}), values.get("models", {})
    for section, key in ((local, "model"), (models, "folder")):
        text = section.get(key)
        # Anything else is refused later, and by its name.
        if not isinstance(text, str) or not text.strip() or "\0" in text:
            continue
        try:
            path = folder / Path(text).expanduser()
        except RuntimeError:
            mistakes.append(f"{folder / DEFAULT_FILE.name}: {key}: {text.split('/')[0]} is unknown")
            continue
        if key == "folder" or _is_path(path, text):
            section[key] = path


def _is_path(path: Path, model: str) -> bool:
    """Return whether a model in a settings file is a path, and not a name."""
    return os.path.exists(path) or (model.endswith(".gguf") and ":" not in model)  # noqa: PTH110


def _check_api_keys(
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


def _with_bare_host(server: ServerSettings, origins: Mapping[Keys, str]) -> ServerSettings:
    try:
        return replace(server, host=bare_host(server.host))
    except SettingsError as error:
        source = origins.get(("server", "host"), "")
        raise SettingsError(f"{source}: [server] host: {error}") from None


def _check_proxies(server: ServerSettings, origins: Mapping[Keys, str]) -> None:
    for entry in server.trusted_proxies:
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            source = origins.get(("server", "trusted_proxies"), "")
            raise SettingsError(
                f"{source}: [server] trusted_proxies: {entry!r} must be an address or a network, "
                'as in ["127.0.0.1", "10.0.0.0/8"]'
            ) from None


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
    """Return the folder of downloaded models: the setting, or else in the user's cache folder.

    Raises:
        SettingsError: The user has no home folder.
    """
    try:
        if settings.folder is not None:
            return settings.folder.expanduser()
        cache = Path(settings_variables.present(environment, "XDG_CACHE_HOME") or "")
        # The specification of XDG says that a relative path is to be ignored.
        return (
            (cache if cache.is_absolute() else _home(environment) / ".cache") / "tenuto" / "models"
        )
    except RuntimeError:
        raise SettingsError(
            "there is no home folder to keep models in: set TENUTO_MODELS_FOLDER, or XDG_CACHE_HOME"
        ) from None


def _home(environment: Mapping[str, str]) -> Path:
    """Return the user's home folder, also where HOME is empty.

    Raises:
        RuntimeError: There is none.
    """
    home = settings_variables.present(environment, "HOME")
    if home is not None:
        return Path(home)
    import pwd

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise RuntimeError from None


def _take_wrong_upstreams(values: Mapping[str, Any]) -> list[str]:
    """Remove what is wrong with the parts of `[engine]` that come in any number."""
    engine = values.get("engine", {})
    mistakes = []
    upstreams, routes = engine.get("upstreams", {}), engine.get("routes", [])
    if not isinstance(upstreams, dict) or not all(isinstance(v, dict) for v in upstreams.values()):
        del engine["upstreams"]
        mistakes.append("write a section [engine.upstreams.NAME] for each upstream")
        upstreams = {}
    if not isinstance(routes, list) or not all(isinstance(route, dict) for route in routes):
        del engine["routes"]
        mistakes.append("write a section [[engine.routes]] for each route")
        routes = []
    for name in list(upstreams):
        kind = upstreams[name].get("kind")
        where = f"engine.upstreams.{name[:100]}"
        if not isinstance(kind, str) or kind not in KINDS:
            del upstreams[name]
            mistakes.append(f"[{where}] kind: there are: {', '.join(KINDS)}")
        else:
            mistakes += settings_tree.take_unknown(KINDS[kind], upstreams[name], where)
    for route in routes:
        mistakes += settings_tree.take_unknown(RouteSettings, route, "engine.routes")
    return mistakes
