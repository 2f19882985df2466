"""Log lines about a loaded model and its limits."""

from __future__ import annotations

import logging
from typing import Final

from tenuto.engine.local import frames
from tenuto.engine.local.runtimes import runtimes
from tenuto.settings import LocalSettings

_log = logging.getLogger("tenuto.engine")

_SHARED: Final = (
    "shared; a caller can tell from times and counts what others asked, unless "
    "prefix_cache is per_key or off"
)


def log_loaded(name: str, settings: LocalSettings, loaded: frames.Loaded) -> None:
    """Log the runtime, the limits and the warnings of a loaded model."""
    form = "its chat template" if loaded.chat else "prompts as text"
    _log.info("%s runs on %s, with %s", name, loaded.runtime, form)
    _log.info(
        "threads %d, context %d tokens, KV cache %d MiB (%d blocks), "
        "up to %d completions at once, %d tokens a step",
        loaded.threads,
        loaded.context,
        -(-loaded.kv_bytes // 2**20),
        loaded.kv_blocks,
        settings.max_running,
        settings.batch_tokens,
    )
    _log.info("prefix cache: %s", _prefix_cache(settings.prefix_cache, loaded.runtime))
    for warning in loaded.warnings:
        _log.warning("%s: %s", name, warning)


def _prefix_cache(setting: str, runtime: str) -> str:
    if setting == "shared":
        return _SHARED
    if setting == "off":
        return "off"
    kind = runtimes().get(runtime)
    if kind is None or kind.separates_tenants:
        return "apart for each API key"
    return f"off, because {kind.title} cannot keep API keys apart"
