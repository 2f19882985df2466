"""langchain-anthropic 0.3.10: the last with text completions in `AnthropicLLM`."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import cases

warnings.simplefilter("ignore")  # Deprecations, of which the tests are well aware.

from langchain_anthropic import AnthropicLLM  # noqa: E402


def _model(url: str, api_key: str = "any") -> Any:
    return AnthropicLLM(model="claude-2.1", base_url=url, api_key=api_key, max_tokens=64)


def plain(url: str, *, text: str, **options: Any) -> Any:
    return {"text": _model(url).invoke(text, **options)}


def stream(url: str, *, text: str) -> Any:
    return {"chunks": list(_model(url).stream(text))}


def asynchronous(url: str, *, text: str) -> Any:
    async def ask() -> Any:
        model = _model(url)
        whole = await model.ainvoke(text)
        return {"text": whole, "chunks": [chunk async for chunk in model.astream(text)]}

    return asyncio.run(ask())


def error(url: str, *, text: str, api_key: str) -> Any:
    try:
        _model(url, api_key).invoke(text)
    except Exception as raised:  # What the library raises is the question.
        return {"class": type(raised).__name__, "status": getattr(raised, "status_code", None)}
    return {"class": None}


if __name__ == "__main__":
    cases.run(plain, stream, asynchronous, error)
