"""litellm 1.106.2, with its provider `anthropic_text` for text completions."""

from __future__ import annotations

import asyncio
from typing import Any

import cases
import litellm

litellm.telemetry = False
litellm.suppress_debug_info = True


def everything(url: str, *, keyed: str, **request: Any) -> Any:
    """All in one: the library takes many seconds to import."""
    common: dict[str, Any] = {"model": "anthropic_text/claude-2", "api_key": "any", **request}
    here = {**common, "api_base": url}
    return {
        "plain": _whole(litellm.completion(**here)),
        "stopped": _whole(litellm.completion(**here, stop=["there"])),
        "stream": _streamed(list(litellm.completion(**here, stream=True))),
        "asynchronous": asyncio.run(_asynchronous(here)),
        "error": _error({**common, "api_base": keyed}),
    }


async def _asynchronous(request: dict[str, Any]) -> Any:
    whole = await litellm.acompletion(**request)
    events = await litellm.acompletion(**request, stream=True)
    return {"plain": _whole(whole), "stream": _streamed([chunk async for chunk in events])}


def _error(request: dict[str, Any]) -> Any:
    try:
        litellm.completion(**request, num_retries=0)
    except Exception as raised:  # What the library raises is the question.
        return {"class": type(raised).__name__, "status": getattr(raised, "status_code", None)}
    return {"class": None}


def _whole(answer: Any) -> Any:
    (choice,) = answer.choices
    return {"text": choice.message.content, "finish": choice.finish_reason}


def _streamed(chunks: list[Any]) -> Any:
    choices = [chunk.choices[0] for chunk in chunks]
    return {
        "text": "".join(choice.delta.content or "" for choice in choices),
        "chunks": len(choices),
        "finish": choices[-1].finish_reason,
    }


if __name__ == "__main__":
    cases.run(everything)
