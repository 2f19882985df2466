"""The settings, one frozen tree. Every default stands here and nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The embedded engine.

    Attributes:
        model: A GGUF file, or None for the built-in model.
        max_running: Most completions written at the same time.
        max_waiting: Most accepted jobs that wait for a place; more are refused as overloaded.
        kv_cache_mib: Memory of the KV cache in MiB. None: as much as `max_running` completions
            of full length need, but at most a quarter of the machine's memory.
        threads: Threads that compute. None: the runtime's choice, one a core.
        load_wait_s: How long a request waits for a model that is still loading, in seconds.
    """

    model: Path | None = None
    max_running: int = 64
    max_waiting: int = 256
    kv_cache_mib: int | None = None
    threads: int | None = None
    load_wait_s: float = 30.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which engine answers: `local`, or `echo`, which repeats the question, for tests."""

    name: str = "local"
    local: LocalSettings = field(default_factory=LocalSettings)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The HTTP server.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        max_body_bytes: Largest request body; the service's own limit is 32 MB.
        ping_interval_s: A stream that is quiet for so long sends a ping. Below the 15 s that
            the strictest common proxies allow.
        shutdown_grace_s: How long running streams may go on after a signal to stop.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_body_bytes: int = 32 * 1024 * 1024
    ping_interval_s: float = 10.0
    shutdown_grace_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings."""

    server: ServerSettings = field(default_factory=ServerSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)


def client_key() -> str | None:
    """The API key that a client sends, from TENUTO_API_KEY or else ANTHROPIC_API_KEY."""
    return os.environ.get("TENUTO_API_KEY") or os.environ.get("ANTHROPIC_API_KEY")
