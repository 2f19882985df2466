"""anthropic 0.125.0: the last official Python client with a completions resource."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import cases


def plain(url: str, *, strict: bool = False, **request: Any) -> Any:
    with anthropic.Anthropic(
        api_key="any", base_url=url, _strict_response_validation=strict
    ) as client:
        return _seen(client.completions.create(**request))


def stream(url: str, *, strict: bool = False, **request: Any) -> Any:
    with anthropic.Anthropic(
        api_key="any", base_url=url, _strict_response_validation=strict
    ) as client:
        return {"events": [_seen(e) for e in client.completions.create(**request, stream=True)]}


def asynchronous(url: str, **request: Any) -> Any:
    async def ask() -> Any:
        async with anthropic.AsyncAnthropic(api_key="any", base_url=url) as client:
            whole = await client.completions.create(**request)
            events = await client.completions.create(**request, stream=True)
            return {"plain": _seen(whole), "events": [_seen(e) async for e in events]}

    return asyncio.run(ask())


def raw(url: str, **request: Any) -> Any:
    with anthropic.Anthropic(api_key="any", base_url=url) as client:
        response = client.completions.with_raw_response.create(**request)
        return {
            "status": response.status_code,
            "request_id": response.headers["request-id"],
            "attribute": response.request_id,
            "parsed": _seen(response.parse()),
        }


def streaming_response(url: str, **request: Any) -> Any:
    with anthropic.Anthropic(api_key="any", base_url=url) as client:
        create = client.completions.with_streaming_response.create
        with create(**request) as response:
            whole = _seen(response.parse())
        with create(**request, stream=True) as response:
            lines = list(response.iter_lines())
            type_ = response.headers["content-type"]
        with create(**request, stream=True) as response:
            events = [_seen(event) for event in response.parse()]
    return {"plain": whole, "lines": lines, "content_type": type_, "events": events}


def error(url: str, *, api_key: str = "any", retries: int = 0, pad: int = 0, **request: Any) -> Any:
    request["prompt"] += "x" * pad
    with anthropic.Anthropic(api_key=api_key, base_url=url, max_retries=retries) as client:
        try:
            client.completions.create(**request)
        except anthropic.APIStatusError as raised:
            return _error(raised)
        except anthropic.APIConnectionError as raised:
            return {"class": type(raised).__name__, "cause": repr(raised.__cause__)}
    return {"class": None}


def bearer(url: str, *, token: str, **request: Any) -> Any:
    with anthropic.Anthropic(auth_token=token, base_url=url) as client:
        return _seen(client.completions.create(**request))


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
        response = client.completions.with_raw_response.create(**request)
        return {"retries": response.retries_taken, "completion": _seen(response.parse())}


def leave(url: str, **request: Any) -> Any:
    with anthropic.Anthropic(api_key="any", base_url=url) as client:
        events = client.completions.create(**request, stream=True)
        first = next(iter(events))
        events.close()
        return {"first": first.completion}


def _seen(completion: Any) -> dict[str, Any]:
    return {**completion.model_dump(), "request_id": getattr(completion, "_request_id", None)}


def _error(raised: anthropic.APIStatusError) -> dict[str, Any]:
    return {
        "class": type(raised).__name__,
        "status": raised.status_code,
        "type": raised.type,
        "body": raised.body,
        "request_id": raised.request_id,
        "retry_after": raised.response.headers.get("retry-after"),
    }


if __name__ == "__main__":
    cases.run(
        *(plain, stream, asynchronous, raw, streaming_response),
        *(error, bearer, broken_stream, retry, leave),
    )
