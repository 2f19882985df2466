"""The limits of one body and of all bodies in flight."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tenuto.core.refusal import Kind
from tenuto.engine.base import Capabilities
from tenuto.engine.echo import EchoEngine
from tenuto.server.body import (
    DEFAULT_BODY_BYTES,
    MOST_BODY_BYTES,
    BodyBudget,
    Reservation,
    most_body_bytes,
)
from tenuto.settings import LimitSettings, Settings
from tests.refusals import refused
from tests.server.test_endpoint import BODY, HEADERS, assert_error, client_of

pytestmark = pytest.mark.anyio


class SmallEngine(EchoEngine):
    """An engine with a context of a known size in bytes."""

    def __init__(self, longest_prompt: int) -> None:
        super().__init__()
        self._longest_prompt = longest_prompt

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("small", context=99, longest_prompt=self._longest_prompt)


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: json.dumps(text, ensure_ascii=False),
        json.dumps,
        lambda text: '"' + "".join(f"\\u{ord(char):04x}" for char in text) + '"',
    ],
    ids=["plain", "ascii", "escaped"],
)
@pytest.mark.parametrize("unit", ["a", "é", "\r\n", "\0"])
async def test_longest_prompt_is_accepted_in_every_encoding(unit: str, spell: Any) -> None:
    longest = 100_000
    kept = len(unit.replace("\r\n", "\n").encode())
    prompt = f"\n\nHuman: {unit * ((longest - 30) // kept)}\n\nAssistant:"
    stops = [chr(0x10000 + n) * 64 for n in range(1024)]
    body = json.dumps(BODY | {"prompt": 0, "stop_sequences": stops, "max_tokens_to_sample": 1})
    async with client_of(SmallEngine(longest)) as client:
        content = body.replace('"prompt": 0', f'"prompt": {spell(prompt)}').encode()
        response = await client.post("/v1/complete", content=content)
    assert response.status_code == 200, response.text


async def test_body_larger_than_any_prompt_of_the_context_is_rejected() -> None:
    limit = most_body_bytes(LimitSettings(), 1000)
    assert limit < 2 * 2**20
    async with client_of(SmallEngine(1000)) as client:
        response = await client.post("/v1/complete", content=b" " * (limit + 1))
    assert_error(response, 413, "request_too_large", f"maximum size of {limit} bytes. `max_body_by")


@pytest.mark.parametrize(
    ("setting", "longest_prompt", "most"),
    [
        (None, 0, DEFAULT_BODY_BYTES),
        (None, 2**40, MOST_BODY_BYTES),
        (5, 0, 5),
        (2**26, 1000, 2**26),
    ],
)
def test_body_limit_is_the_setting_or_derived_from_the_context(
    setting: int | None, longest_prompt: int, most: int
) -> None:
    assert most_body_bytes(LimitSettings(max_body_bytes=setting), longest_prompt) == most


@pytest.mark.parametrize("size", [200, 200_000])
@pytest.mark.parametrize("content", [b"{", b'{"prompt": "'])
async def test_bytes_in_flight_are_released_at_every_end_of_a_request(
    content: bytes, size: int
) -> None:
    limits = LimitSettings(max_bytes_in_flight=600_000)
    async with client_of(EchoEngine(), Settings(limits=limits)) as client:
        for _ in range(20):
            response = await client.post("/v1/complete", content=content + b"a" * size)
            assert response.status_code == 400
            prompt = f"\n\nHuman: {'a' * size}\n\nAssistant:"
            response = await client.post("/v1/complete", json=BODY | {"prompt": prompt})
            assert response.status_code == 200


async def test_bodies_over_the_budget_are_rejected_and_small_ones_accepted() -> None:
    budget = BodyBudget(1_000_000)
    with Reservation(budget) as first, Reservation(budget) as second:
        first.add(500_000)
        with refused(Kind.OVERLOADED) as raised:
            second.add(300_000)  # large ones have three quarters
        assert raised.value.retry_after == 1
        second.add(60_000)
        assert budget.held == 560_000
        first.add(190_000)  # what has begun goes on while there is room
    assert budget.held == 0


async def test_single_body_is_accepted_with_any_budget() -> None:
    budget = BodyBudget(10)
    with Reservation(budget) as only:
        only.add(1000)
        only.add(1000)
        with Reservation(budget) as other, refused(Kind.OVERLOADED):
            other.add(1)
    assert budget.held == 0


async def test_body_over_the_budget_is_rejected_with_retry_after() -> None:
    limits = LimitSettings(max_bytes_in_flight=300_000)
    async with client_of(EchoEngine(), Settings(limits=limits)) as client:

        async def slowly() -> AsyncIterator[bytes]:
            yield b" " * 200_000
            inner = await client.post("/v1/complete", content=b" " * 100_000, headers=HEADERS)
            assert_error(inner, 529, "overloaded_error", "Too many request bodies at once")
            assert inner.headers["retry-after"] == "1"
            small = await client.post("/v1/complete", json=BODY, headers=HEADERS)
            assert small.status_code == 200
            yield json.dumps(BODY).encode()

        response = await client.post("/v1/complete", content=slowly())
        assert response.status_code == 200
        after = await client.post(
            "/v1/complete", content=b" " * 200_000 + json.dumps(BODY).encode()
        )
        assert after.status_code == 200
