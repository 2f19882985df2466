"""anthropic 0.2.10, of June 2023: the last one of version 2023-01-01."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import cases


def plain(url: str, **request: Any) -> Any:
    return anthropic.Client("any", api_url=url).completion(**request)


def stream(url: str, **request: Any) -> Any:
    return {"events": list(anthropic.Client("any", api_url=url).completion_stream(**request))}


def asynchronous(url: str, **request: Any) -> Any:
    async def ask() -> Any:
        client = anthropic.Client("any", api_url=url)
        whole = await client.acompletion(**request)
        events = await client.acompletion_stream(**request)
        return {"plain": whole, "events": [event async for event in events]}

    return asyncio.run(ask())


def error(url: str, *, api_key: str = "any", pad: int = 0, **request: Any) -> Any:
    request["prompt"] += "x" * pad
    try:
        anthropic.Client(api_key, api_url=url).completion(**request)
    except anthropic.ApiException as raised:
        return {"class": type(raised).__name__, "arguments": list(raised.args)}
    except OSError as raised:
        return {"class": type(raised).__name__, "cause": repr(raised)}
    return {"class": None}


def leave(url: str, **request: Any) -> Any:
    events = anthropic.Client("any", api_url=url).completion_stream(**request)
    first = next(events)
    events.close()  # The client has no other way; the response goes with its generator.
    return {"first": first["completion"]}


if __name__ == "__main__":
    cases.run(plain, stream, asynchronous, error, leave)
