"""The official Python client, unchanged but for `base_url`, against a server that listens."""

from __future__ import annotations

import anthropic
import pytest

from tests.conftest import CAPITAL, RunningServer

QUESTION = f"{anthropic.HUMAN_PROMPT} Hello, world!{anthropic.AI_PROMPT}"
ANSWER = "".join(CAPITAL)


def test_official_client_completes(capital_server: RunningServer) -> None:
    with anthropic.Anthropic(api_key="any", base_url=capital_server.url) as client:
        completion = client.completions.create(
            model="claude-2.1", prompt=QUESTION, max_tokens_to_sample=64, temperature=0
        )
    assert completion.completion == ANSWER
    assert completion.stop_reason == "stop_sequence"
    assert completion.model == "capital"
    assert completion.type == "completion"
    assert completion.id.startswith("compl_")
    assert (completion._request_id or "").startswith("req_")


def test_official_client_streams(capital_server: RunningServer) -> None:
    with anthropic.Anthropic(
        api_key="any", base_url=capital_server.url, _strict_response_validation=True
    ) as client:
        stream = client.completions.create(
            model="claude-2.1", prompt=QUESTION, max_tokens_to_sample=64, temperature=0, stream=True
        )
        events = list(stream)
    assert "".join(event.completion for event in events) == ANSWER
    assert [event.stop_reason is None for event in events] == [True] * (len(events) - 1) + [False]


@pytest.mark.anyio
async def test_official_async_client_completes_and_streams(capital_server: RunningServer) -> None:
    async with anthropic.AsyncAnthropic(api_key="any", base_url=capital_server.url) as client:
        plain = await client.completions.create(
            model="claude-2.1",
            prompt=QUESTION,
            max_tokens_to_sample=64,
            temperature=0.5,
            top_k=5,
            top_p=0.9,
            metadata={"user_id": "13803d75-b4b5-4c3e-b2a2-6f21399b021b"},
            stop_sequences=["\n\nHuman:", " Par"],
            betas=["string"],
        )
        assert plain.completion == " The capital of France is"
        stream = await client.completions.create(
            model="claude-2.1", prompt=QUESTION, max_tokens_to_sample=64, temperature=0, stream=True
        )
        text = "".join([event.completion async for event in stream])
    assert text == ANSWER


def test_invalid_prompt_raises_bad_request(server: RunningServer) -> None:
    with anthropic.Anthropic(api_key="any", base_url=server.url) as client:
        with pytest.raises(anthropic.BadRequestError, match="prompt must start with") as caught:
            client.completions.create(model="claude-2.1", prompt="Hello", max_tokens_to_sample=4)
    assert (caught.value.request_id or "").startswith("req_")


def test_a_prompt_over_the_context_raises_bad_request_with_both_numbers(
    server: RunningServer,
) -> None:
    prompt = f"{anthropic.HUMAN_PROMPT}{' word' * 5000}{anthropic.AI_PROMPT}"
    with anthropic.Anthropic(api_key="any", base_url=server.url) as client:
        with pytest.raises(anthropic.BadRequestError, match=r"\d+ tokens > \d+ maximum"):
            client.completions.create(
                model="claude-2.1", prompt=prompt, max_tokens_to_sample=4, stream=True
            )
