"""A prompt that kills the worker, over HTTP: the response does not suggest a retry."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tenuto import AsyncClient, InternalServerError
from tenuto.engine.local.process import WorkerProcess
from tests.engine.local.test_faulty_workers import KILLED_BY, failing, running, spawning
from tests.server.test_endpoint import BODY, HEADERS, assert_error, client_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose workers die of prompts with certain words."""
    monkeypatch.setattr(WorkerProcess, "spawn", spawning([failing(KILLED_BY)] * 9))
    monkeypatch.setattr("tenuto.engine.local.supervisor._FIRST_DELAY_S", 0.01)


def completion_body(words: str, **fields: object) -> dict[str, Any]:
    prompt = f"\n\nHuman: {words}\n\nAssistant:"
    return BODY | {"model": "tenuto-mini", "prompt": prompt} | fields


@pytest.mark.usefixtures("dying")
@pytest.mark.parametrize(
    ("words", "streamed", "deaths"),
    # Of a prompt that was not even read through nothing else can be the cause.
    [("a bad step", False, 2), ("bad reading", False, 1), ("bad reading", True, 1)],
)
async def test_prompt_that_killed_the_worker_is_not_retryable(
    words: str, streamed: bool, deaths: int
) -> None:
    async with running() as engine, client_of(engine) as client:
        for number in range(4):
            refused = await client.post(
                "/v1/complete", json=completion_body(words, stream=streamed)
            )
            message = "send the request once more" if number < deaths else "does not try it again"
            assert_error(refused, 500, "api_error", message)
            assert refused.headers["x-should-retry"] == "false"
        good = await client.post("/v1/complete", json=completion_body("a good one"))
        assert (good.status_code, good.json()["completion"]) == (200, " ok")
        assert "x-should-retry" not in good.headers
        assert engine.health().restarts == deaths


@pytest.mark.usefixtures("dying")
async def test_client_does_not_retry_a_prompt_that_killed_the_worker() -> None:
    async with running() as engine:
        http = client_of(engine)
        async with AsyncClient(base_url="http://localhost", http_client=http) as client:
            with pytest.raises(InternalServerError, match="send the request once more"):
                await client.completions.create(**completion_body("a bad step"))
            assert (
                await client.completions.create(**completion_body("a good one"))
            ).completion == " ok"
        assert engine.health().restarts == 1


TOGETHER = """\
send("TokenisingReport", key, True)
send("Accepted", key, 1)
send("Began", key)
if "step" in prompt: os._exit(1)
global LOADED; LOADED = b""; serve()
"""


async def test_requests_beside_a_killing_prompt_are_retryable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(WorkerProcess, "spawn", spawning([failing(TOGETHER)]))
    async with running() as engine, client_of(engine) as client:
        neighbour = asyncio.create_task(client.post("/v1/complete", json=completion_body("wait")))
        while not [job for job in engine._jobs.values() if job.stage]:
            await asyncio.sleep(0.01)
        await client.post("/v1/complete", json=completion_body("a bad step"))
        lost = await neighbour
        assert_error(lost, 500, "api_error", "send the request once more")
        assert lost.headers.get("x-should-retry") != "false"
        again = await client.post("/v1/complete", json=completion_body("wait"), headers=HEADERS)
        assert (again.status_code, again.json()["completion"]) == (200, " ok")
