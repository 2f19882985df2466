"""Names that the service published: models with their retirement dates, and beta features.

Sources: the model lists of the official clients up to Python 2.11 and TypeScript 0.137, their
table of deprecated models, and the service's pages on model deprecations and on migrating from
Text Completions. All lists are open: by default any name is accepted.
"""

from __future__ import annotations

from datetime import date
from typing import Final

_INSTANT_END: Final = date(2024, 11, 6)
_TWO_END: Final = date(2025, 7, 21)

# The models that spoke Text Completions, newest first, and when they were retired. `claude-v1`
# and the like are the names of the first half of 2023.
TEXT_MODELS: Final[dict[str, date]] = {
    "claude-2.1": _TWO_END,
    "claude-2.0": _TWO_END,
    "claude-2": _TWO_END,
    "claude-instant-1.2": _INSTANT_END,
    "claude-instant-1.1": _INSTANT_END,
    "claude-instant-1.1-100k": _INSTANT_END,
    "claude-instant-1": _INSTANT_END,
    "claude-instant-v1": _INSTANT_END,
    "claude-instant-v1-100k": _INSTANT_END,
    "claude-instant-v1.0": _INSTANT_END,
    "claude-instant-v1.1": _INSTANT_END,
    "claude-instant-v1.1-100k": _INSTANT_END,
    "claude-1.3": _INSTANT_END,
    "claude-1.3-100k": _INSTANT_END,
    "claude-1": _INSTANT_END,
    "claude-1-100k": _INSTANT_END,
    "claude-v1": _INSTANT_END,
    "claude-v1-100k": _INSTANT_END,
    "claude-v1.0": _INSTANT_END,
    "claude-v1.2": _INSTANT_END,
    "claude-v1.3": _INSTANT_END,
    "claude-v1.3-100k": _INSTANT_END,
}

# A family's name stands for its newest member.
ALIASES: Final = {
    "claude-2": "claude-2.1",
    "claude-1": "claude-1.3",
    "claude-1-100k": "claude-1.3-100k",
    "claude-instant-1": "claude-instant-1.2",
    "claude-v1": "claude-1.3",
    "claude-v1-100k": "claude-1.3-100k",
    "claude-instant-v1": "claude-instant-1.2",
    "claude-instant-v1-100k": "claude-instant-1.1-100k",
}

# Models that only ever spoke Messages, though the clients' types list them for this endpoint.
# None: not retired, as far as is known here.
MESSAGES_MODELS: Final[dict[str, date | None]] = {
    "claude-3-haiku-20240307": date(2026, 4, 20),
    "claude-3-sonnet-20240229": _TWO_END,
    "claude-3-opus-20240229": date(2026, 1, 5),
    "claude-3-opus-latest": date(2026, 1, 5),
    "claude-3-5-haiku-20241022": date(2026, 2, 19),
    "claude-3-5-haiku-latest": date(2026, 2, 19),
    "claude-3-7-sonnet-20250219": date(2026, 2, 19),
    "claude-3-7-sonnet-latest": date(2026, 2, 19),
    "claude-opus-4-0": date(2026, 6, 15),
    "claude-opus-4-20250514": date(2026, 6, 15),
    "claude-4-opus-20250514": date(2026, 6, 15),
    "claude-sonnet-4-0": date(2026, 6, 15),
    "claude-sonnet-4-20250514": date(2026, 6, 15),
    "claude-4-sonnet-20250514": date(2026, 6, 15),
    "claude-mythos-preview": date(2026, 6, 30),
    "claude-sonnet-4-5": date(2026, 11, 30),
    "claude-sonnet-4-5-20250929": date(2026, 11, 30),
    "claude-opus-4-1": None,
    "claude-opus-4-1-20250805": None,
    "claude-opus-4-5": None,
    "claude-opus-4-5-20251101": None,
    "claude-haiku-4-5": None,
    "claude-haiku-4-5-20251001": None,
    "claude-opus-4-6": None,
    "claude-sonnet-4-6": None,
    "claude-opus-4-7": None,
    "claude-opus-4-8": None,
    "claude-opus-5": None,
    "claude-opus-5-5": None,
    "claude-sonnet-5": None,
    "claude-sonnet-5-5": None,
    "claude-haiku-5-5": None,
    "claude-fable-5": None,
    "claude-fable-5-1": None,
    "claude-fable-5-2": None,
    "claude-mythos-5": None,
    "claude-mythos-5-1": None,
    "claude-mythos-5-2": None,
}

BETAS: Final = frozenset(
    [
        "admin-user-sign-out-2026-10-08",
        "advisor-tool-2026-03-01",
        "agent-memory-2026-07-22",
        "analytics-usage-cost-2026-08-24",
        "cache-diagnosis-2026-04-07",
        "ce-claude-code-managed-settings-2026-10-06",
        "ce-plugins-2026-09-01",
        "ce-user-management-2026-07-13",
        "code-execution-2025-05-22",
        "compact-2026-01-12",
        "compact-2026-09-04",
        "computer-use-2024-10-22",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14",
        "dreaming-2026-04-21",
        "effort-2025-11-24",
        "experimental-claude-tag-2026-10-21",
        "extended-cache-ttl-2025-04-11",
        "fallback-credit-2026-06-01",
        "fallback-credit-2026-07-01",
        "fast-mode-2026-02-01",
        "files-api-2025-04-14",
        "inline-tools-2026-09-15",
        "interleaved-thinking-2025-05-14",
        "managed-agents-2026-04-01",
        "mcp-client-2025-04-04",
        "mcp-client-2025-11-20",
        "mcp-client-2026-09-15",
        "mcp-tunnels-2026-06-22",
        "message-batches-2024-09-24",
        "message-threads-2026-08-12",
        "messages-2023-12-15",
        "mid-conversation-output-config-2026-07-01",
        "mid-conversation-system-clear-at-2026-08-21",
        "mid-conversation-tool-changes-2026-07-01",
        "model-context-window-exceeded-2025-08-26",
        "oauth-2025-04-20",
        "output-128k-2025-02-19",
        "output-300k-2026-03-24",
        "pdfs-2024-09-25",
        "prompt-caching-2024-07-31",
        "server-side-fallback-2026-06-01",
        "server-side-fallback-2026-07-01",
        "skills-2025-10-02",
        "spend-limit-reads-2026-09-26",
        "structured-outputs-2025-11-13",
        "task-budgets-2026-03-13",
        "telemetry-destinations-2026-08-11",
        "thinking-binding-controls-2026-08-01",
        "thinking-display-updates-2026-08-18",
        "thinking-token-count-2026-05-13",
        "token-counting-2024-11-01",
        "token-efficient-tools-2025-02-19",
        "user-profiles-2026-03-24",
        "user-profiles-2026-08-18",
        "user-profiles-2026-09-04",
        "user-profiles-billing-2026-10-01",
        "webhooks-2026-10-07",
    ]
)


def resolve(name: str) -> str:
    """A model's own name for the name of its family, and every other name as it is."""
    return ALIASES.get(name, name)


def retired_on(name: str) -> date | None:
    """When the service retired a model, None if it did not or never had it."""
    return TEXT_MODELS.get(name) or MESSAGES_MODELS.get(name)
