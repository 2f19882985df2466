"""A prompt of any length reaches a server as it is, and no step on its way keeps the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tenuto.core.job import Job
from tenuto.engine.upstream.kinds.messages import MessagesUpstream
from tenuto.engine.upstream.kinds.openai import OpenAIUpstream
from tenuto.engine.upstream.kinds.tenuto import TenutoUpstream
from tenuto.engine.upstream.reading import Steps
from tenuto.settings.upstreams import Upstream
from tenuto.slices import finish
from tenuto.wire.long_json import json_steps
from tests.engine.upstream import claude, test_completions, test_openai
from tests.engine.upstream.callers import caller_of
from tests.engine.upstream.scripted import RESET, ScriptedServer
from tests.prompt.long_texts import LARGE, MOST_STEP_S, long, longest_step

pytestmark = pytest.mark.anyio

STOPS = tuple(f"{number:04}" + "a" * 60 for number in range(1024))
ASK: dict[str, Callable[[Job], Steps]] = {
    "messages": MessagesUpstream().request_for,
    "openai": OpenAIUpstream(base_url="").request_for,
    "chat": OpenAIUpstream(base_url="", chat=True).request_for,
    "completions": TenutoUpstream(base_url="").request_for,
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_no_step_blocks_the_event_loop(ask: Callable[[Job], Steps]) -> None:
    for name in ("one emoji among letters", "turns", "turns of one side", "prefill"):
        # This model takes no prefill: it is given one as an instruction.
        job = Job(long(LARGE[name]), 5, model="claude-opus-4-6", stop_sequences=STOPS)

        assert longest_step(ask(job)) < MOST_STEP_S, name
        assert longest_step(json_steps(finish(ask(job)).body)) < MOST_STEP_S, name


UPSTREAMS: dict[str, tuple[Callable[[str], Upstream], Any]] = {
    "messages": (lambda url: MessagesUpstream(base_url=url), claude.answer),
    "openai": (lambda url: OpenAIUpstream(base_url=url), test_openai.answer),
    "completions": (
        lambda url: TenutoUpstream(base_url=url),
        lambda text, as_stream: test_completions.answer(
            text, "stop_sequence", None, as_stream=as_stream
        ),
    ),
}
TEXT = 'Ünï\u0000"\\😀 ' * 30_000


@pytest.mark.parametrize(("upstream", "answer"), UPSTREAMS.values(), ids=UPSTREAMS)
async def test_long_prompt_is_sent_unchanged(
    server: ScriptedServer, upstream: Callable[[str], Upstream], answer: Any
) -> None:
    # The second time the connection that was kept is closed, and the body is sent again.
    scripts = [answer("Hello", as_stream=False), [RESET], answer("Again", as_stream=False)]
    server.answers(*scripts)
    prompt = f"Be brief.\n\nHuman: {TEXT}\n\nHuman: {TEXT}\n\nAssistant:"

    async with caller_of({"a": upstream(server.url)}) as caller:
        texts = [(await caller.complete(prompt)).text.strip() for _ in range(2)]

    assert texts == ["Hello", "Again"]
    assert len(server.requests) == 3
    for request in server.requests:
        if "messages" in request.body:
            turn = f"{TEXT}\n\n{TEXT}"
            assert request.body["system"] == "Be brief."
            assert request.body["messages"] == [{"role": "user", "content": turn}]
        else:
            assert request.body["prompt"] == prompt
