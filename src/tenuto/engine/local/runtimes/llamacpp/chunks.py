"""Read the chunks of a completion that llama.cpp's server core streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenuto.engine.local.runtime import Ending, ScoredToken


def ending(choice: Mapping[str, Any], tokens: int, max_tokens: int) -> Ending | None:
    """Return the reason of a completion's end; None while it continues."""
    if _only_nan(choice):
        return "broke"
    reason = choice["finish_reason"]
    if reason is None:
        return None
    if reason == "stop":
        return "end"
    # With fewer tokens its context is full, which admission prevents.
    return "length" if tokens >= max_tokens else "broke"


def scored_tokens(
    choice: Mapping[str, Any], tokens: int, most: int | None, control: Mapping[int, str]
) -> tuple[ScoredToken, ...]:
    """Return the tokens of a chunk, with `most` of the likeliest in the place of each.

    None if log probabilities are not requested. A character of several tokens comes with the log
    probability of the last of them alone, so it counts as one token of unknown log probability.
    """
    data = choice["text"].encode()
    if not data or most is None:
        return ()
    content = (choice["logprobs"] or {}).get("content", ())
    if tokens != 1 or len(content) != 1:
        return (ScoredToken(data, None),)
    (token,) = content
    likeliest = token["top_logprobs"][:most]
    if most and all(other["id"] != token["id"] for other in likeliest):
        likeliest.append(token)
    top = tuple(
        (
            bytes(other["bytes"])
            or control.get(other["id"], "").encode("utf-8", "surrogateescape"),
            other["logprob"],
        )
        for other in likeliest
    )
    return (ScoredToken(data, token["logprob"], top),)


def _only_nan(choice: Mapping[str, Any]) -> bool:
    """Return whether all log probabilities of a token are NaN, which the library sends as null."""
    content = (choice.get("logprobs") or {}).get("content") or ()
    return any(
        token["logprob"] is None
        and all(other["logprob"] is None for other in token["top_logprobs"])
        for token in content
    )
