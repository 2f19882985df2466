"""anthropic 0.8.0, of December 2023: the first with `id` and `type`."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import cases


def plain(url: str, **request: Any) -> Any:
    with anthropic.Anthropic(api_key="any", base_url=url) as client:
        return client.completions.create(**request).model_dump()


def stream(url: str, *, strict: bool = False, **request: Any) -> Any:
    with anthropic.Anthropic(
        api_key="any", base_url=url, _strict_response_validation=strict
    ) as client:
        events = client.completions.create(**request, stream=True)
        return {"events": [event.model_dump() for event in events]}


def asynchronous(url: str, **request: Any) -> Any:
    async def ask() -> Any:
        async with anthropic.AsyncAnthropic(api_key="any", base_url=url) as client:
            whole = await client.completions.create(**request)
            events = await client.completions.create(**request, stream=True)
            return {"plain": whole.model_dump(), "events": [e.model_dump() async for e in events]}

    return asyncio.run(ask())


def raw(url: str, **request: Any) -> Any:
    with anthropic.Anthropic(api_key="any", base_url=url) as client:
        response = client.completions.with_raw_response.create(**request)
        return {
            "status": response.status_code,
            "request_id": response.headers["request-id"],
            "parsed": response.parse().model_dump(),
        }


def error(url: str, *, api_key: str = "any", pad: int = 0, **request: Any) -> Any:
    request["prompt"] += "x" * pad
    with anthropic.Anthropic(api_key=api_key, base_url=url, max_retries=0) as client:
        try:
            client.completions.create(**request)
        except anthropic.APIStatusError as raised:
            return _error(raised)
        except anthropic.APIConnectionError as raised:
            return {"class": type(raised).__name__, "cause": repr(raised.__cause__)}
    return {"class": None}


def broken_stream(url: str, **request: Any) -> Any:
    events = 0
    with anthropic.Anthropic(api_key="any", base_url=url) as client:
        try:
            for _ in client.completions.create(**request, stream=True):
                events += 1
        except anthropic.APIStatusError as raised:
            return {"events": events, **_error(raised)}
    return {"events": events, "class": None}


def retry(url: str, *, retries: int, **request: Any) -> Any:
    with anthropic.Anthropic(api_key="any", base_url=url, max_retries=retries) as client:
        return client.completions.create(**request).model_dump()


def leave(url: str, **request: Any) -> Any:
    with anthropic.Anthropic(api_key="any", base_url=url) as client:
        events = client.completions.create(**request, stream=True)
        first = next(iter(events))
        events.response.close()
        return {"first": first.completion}


def _error(raised: anthropic.APIStatusError) -> dict[str, Any]:
    return {
        "class": type(raised).__name__,
        "status": raised.status_code,
        "body": raised.body,
    }


if __name__ == "__main__":
    cases.run(plain, stream, asynchronous, raw, error, broken_stream, retry, leave)
