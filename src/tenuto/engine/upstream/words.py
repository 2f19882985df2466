"""The message in an upstream's error: find it, and make it presentable to callers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from tenuto.core.text import well_formed
from tenuto.engine.upstream.json_text import json_value

_MAX_SHOWN: Final = 500
_MAX_READ: Final = 16 * 1024
_MAX_DEPTH: Final = 6
_KEYS: Final = ("message", "error", "detail", "errors", "msg", "title", "error_message")

_HIDDEN: Final = re.compile(
    r"""
    \b(?:https?|wss?|grpc|file)://\S+                               # addresses
    | \b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b                              # mail
    | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b                          # IPv4
    | \[?(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{1,4}(?![\w:])(?:\]:\d+|\]?)  # IPv6
    | \b[\w-]+(?:\.[\w-]+)+:\d{2,5}\b                               # host and port
    | \blocalhost:\d+\b
    | \b(?:sk|pk|rk|key|org|proj|user|acct|account|team|api)[-_][\w*.-]{4,}  # keys and accounts
    | \b[Bb]earer\s+\S+
    | \b(?:in|for|of|your)?\s*(?:organi[sz]ation|workspace|project|tenant)\s+(?:ID\s*:?\s*)?
      (?:[`'"][^`'"]+[`'"]|[\w.-]*[\d_-][\w.-]*|[A-Z][\w.&-]*(?:\s[A-Z][\w.&-]*)*) # their names
    | (?<![\w/])/(?:home|root|usr|opt|srv|var|tmp|app|workspace|mnt|data|etc)/\S+   # files
    | \b[A-Za-z]:\\\S+
    | \b(?=[A-Za-z0-9_]*[0-9])(?=[A-Za-z0-9_]*[A-Za-z])[A-Za-z0-9_]{32,}\b     # other secrets
    """,
    re.VERBOSE,
)
_ABOUT_MONEY: Final = re.compile(
    r"credit balance|\bbilling\b|insufficient[ _](?:credits?|quota|balance|funds)"
    r"|exceeded (?:your|its|the) current quota|payment required|out of credits|purchase credits"
    r"|(?:account|organi[sz]ation|workspace)\b.{0,40}\b(?:disabled|suspended|deactivated)",
    re.IGNORECASE,
)


def words_in(body: object, depth: int = 0) -> str | None:
    """Find the message of an error in its JSON; None without one.

    Args:
        body: Parsed JSON, in the envelope of any API.
        depth: Levels above it.
    """
    if depth > _MAX_DEPTH:
        return None
    if isinstance(body, str):
        text = body[:_MAX_READ].strip()
        if text[:1] in ("{", "["):
            try:
                return words_in(json_value(text), depth + 1) or text
            except ValueError:
                pass
        return text or None
    if isinstance(body, list):
        found = (words_in(one, depth + 1) for one in body[:3])
        return next((words for words in found if words), None)
    if not isinstance(body, dict):
        return None
    for key in _KEYS:
        if words := words_in(body.get(key), depth + 1):
            place = body.get("loc") if key == "msg" else None
            names = place[:8] if isinstance(place, list) else []
            field = ".".join(str(name) for name in names if name != "body")
            return f"{field}: {words}" if field else words
    return None


def about_money(words: str | None) -> bool:
    """Return whether an error is about credit, quota or the account instead of the request."""
    return bool(words and _ABOUT_MONEY.search(words[:_MAX_READ]))


def presentable(words: str, hidden: Iterable[str] = ()) -> str:
    """Return a message as one line, without keys, accounts, addresses and file names.

    Args:
        words: The message, as the upstream wrote it.
        hidden: More texts to remove.
    """
    # Cut before the search, too, which bounds its cost.
    chars = well_formed(words[: 2 * _MAX_SHOWN])
    text = "".join(char if char.isprintable() else " " for char in chars)
    for secret in hidden:
        if secret:
            text = text.replace(secret, "…")
    text = " ".join(_HIDDEN.sub("…", text).split())
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
