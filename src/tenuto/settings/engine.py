"""`[engine]`: the engine that answers, and the embedded one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le

from tenuto.engine.local.runtimes import NAMES as RUNTIMES
from tenuto.engine.upstream.route import RouteSettings
from tenuto.quantities import Count, Positive, Seconds
from tenuto.settings.file import SettingsError
from tenuto.settings.upstreams import Upstream, check_routes, completed

if TYPE_CHECKING:
    _Runtime = str
else:
    _Runtime = Literal[("auto", *RUNTIMES)]


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


def with_upstreams(engine: EngineSettings, environment: Mapping[str, str]) -> EngineSettings:
    """Return the engine's settings with addresses in one form, and keys from the environment.

    Raises:
        SettingsError: An upstream or a route is wrong.
    """
    if engine.name != "routes":
        if engine.upstreams or engine.routes:
            raise SettingsError('[engine] name: write "routes", so that the upstreams are used')
        return engine
    if not engine.upstreams:
        raise SettingsError("[engine] name: `routes` needs a section [engine.upstreams.NAME]")
    upstreams = completed(engine.upstreams, environment)
    check_routes(upstreams, engine.routes)
    return replace(engine, upstreams=upstreams)
