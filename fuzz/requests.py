"""Requests made by hypothesis: well-formed HTTP, and anything in it.

Each one must be answered within a second, with a status below 500, an envelope for every error and
no line of the log that speaks of a bug.
"""

from __future__ import annotations

import asyncio
import collections
import json
import logging
from typing import Any

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenuto.engine.echo import EchoEngine
from tenuto.server.app import create_app
from tenuto.settings import ApiSettings, Settings
from tenuto.wire.names import BETAS, MESSAGES_MODELS, TEXT_MODELS
from tenuto.wire.versions import spoken_versions

_SECONDS = 1.0

_marks = st.sampled_from(["\n\nHuman:", "\n\nAssistant:", "\nHuman:", "Assistant:", "\r\n", " "])
_texts = st.text(max_size=20)
_prompts = st.lists(_marks | _texts, max_size=8).map("".join)
_turns = _texts.map(lambda text: f"\n\nHuman: {text}\n\nAssistant:")
_numbers = st.integers() | st.floats() | st.sampled_from([0, 1, -1, 0.5, 2**64, 10**30])
_anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_models = st.sampled_from([*TEXT_MODELS, *MESSAGES_MODELS]) | _texts
_fields: dict[str, st.SearchStrategy[Any]] = {
    "model": _models,
    "prompt": _turns | _prompts,
    "max_tokens_to_sample": st.integers(1, 50) | _numbers,
    "stop_sequences": st.lists(_texts, max_size=5) | st.none(),
    "temperature": st.floats(0, 1) | _numbers,
    "top_p": st.floats(0, 1) | _numbers,
    "top_k": st.integers(0, 9) | _numbers,
    "metadata": st.fixed_dictionaries({"user_id": _texts | st.none()}) | st.none(),
    "stream": st.booleans(),
    "tags": st.dictionaries(_texts, _texts, max_size=2),
}
_required = ("model", "prompt", "max_tokens_to_sample")
_right = st.fixed_dictionaries(
    {name: _fields[name] for name in _required},
    optional={name: _fields[name] for name in _fields if name not in _required},
)
_wrong = st.dictionaries(st.sampled_from([*_fields]) | _texts, _anything, max_size=3)
_bodies = (
    st.tuples(_right, st.just({}) | _wrong).map(lambda both: json.dumps(both[0] | both[1]).encode())
    | _anything.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60)
)
_visible = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
_headers = st.fixed_dictionaries(
    {"anthropic-version": st.sampled_from(spoken_versions()) | _visible},
    optional={
        "anthropic-beta": st.sampled_from(sorted(BETAS)) | _visible,
        "x-api-key": _visible,
        "authorization": _visible,
        "content-type": st.sampled_from(["application/json", "text/plain"]) | _visible,
        "host": st.sampled_from(["localhost", "127.0.0.1:8000"]) | _visible,
        "x-stainless-timeout": st.just("NOT_GIVEN") | _visible,
    },
)
_sound_headers = st.fixed_dictionaries(
    {"anthropic-version": st.sampled_from(spoken_versions())},
    optional={"anthropic-beta": _visible, "x-api-key": _visible, "idempotency-key": _visible},
)
_methods = st.sampled_from(["POST", "GET", "PUT", "OPTIONS", "HEAD", "DELETE"])
_paths = st.sampled_from(
    ["/v1/complete", "/v1/models", "/v1/models/a?limit=2", "/v1/models?limit=x", "/ready", "/x"]
)
# Half of all requests come as far as their body.
_requests = st.tuples(
    st.just("POST"), st.just("/v1/complete"), _sound_headers, _bodies
) | st.tuples(_methods, _paths, _headers, _bodies)


class _Bugs(logging.Handler):
    """Gathers what the log says of bugs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def main(count: int) -> None:
    """Sends so many requests.

    Raises:
        AssertionError: One was answered wrongly; hypothesis prints the smallest such request.
    """
    strict = ApiSettings(strict_models=True, strict_betas=True)
    apps = [
        create_app(Settings(), EchoEngine()),
        create_app(Settings(api=ApiSettings(lenient_prompts=True)), EchoEngine()),
        create_app(Settings(api=strict), EchoEngine()),
    ]
    bugs = _Bugs()
    logging.getLogger("tenuto").addHandler(bugs)
    statuses: collections.Counter[int] = collections.Counter()

    with asyncio.Runner() as runner:

        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(st.sampled_from(apps), _requests)
        def check(app: Any, request: tuple[str, str, dict[str, str], bytes]) -> None:
            method, path, headers, body = request
            response = runner.run(_ask(app, method, path, headers, body))
            statuses[response.status_code] += 1
            assert response.status_code < 500
            assert response.headers["request-id"].startswith("req_")
            if response.status_code >= 400 and method != "HEAD":
                answer = response.json()
                assert answer["request_id"] == response.headers["request-id"]
                assert answer["error"]["message"]
            assert not bugs.lines

        check()
    logging.getLogger("tenuto").removeHandler(bugs)
    print(f"{sum(statuses.values()):,} requests: {dict(sorted(statuses.items()))}")


async def _ask(
    app: Any, method: str, path: str, headers: dict[str, str], body: bytes
) -> httpx2.Response:
    transport = httpx2.ASGITransport(app)
    async with (
        asyncio.timeout(_SECONDS),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        return await client.request(method, path, headers=headers, content=body)
