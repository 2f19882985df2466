"""Text Completions through the Messages API: every row of the migration table, both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tenuto.core.job import Job, Sampling
from tenuto.core.refusal import Kind
from tenuto.engine.upstream.kinds.messages import MessagesUpstream
from tenuto.prompt.turns import parse_prompt, raw_prompt
from tenuto.slices import finish
from tests.engine.upstream import claude
from tests.engine.upstream.callers import HI, Caller, caller_of
from tests.engine.upstream.scripted import ScriptedServer, event, scripted_server, stream, whole
from tests.refusals import refused

pytestmark = pytest.mark.anyio

OLD = "claude-haiku-4-5"
NEW = "claude-opus-4-7"
both_ways = pytest.mark.parametrize("as_stream", [False, True], ids=["plain", "streamed"])


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as started:
        yield started.answers(
            lambda request: claude.answer("Hello there", as_stream=request.body["stream"])
        )


@pytest.fixture
async def caller(server: ScriptedServer) -> AsyncIterator[Caller]:
    async with caller_of({"claude": MessagesUpstream(base_url=server.url)}) as caller:
        yield caller


async def sent(server: ScriptedServer, caller: Caller, *args: Any, **fields: Any) -> dict[str, Any]:
    """Return the last request of the server."""
    assert (await caller.complete(*args, **fields)).status == 200
    return server.requests[-1].body


@both_ways
async def test_smallest_request_has_the_documented_form(
    server: ScriptedServer, caller: Caller, as_stream: bool
) -> None:
    seen = await caller.complete(model=OLD, stream=as_stream)
    (request,) = server.requests
    assert request.path == "/v1/messages"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["content-type"] == "application/json"
    assert request.body == {
        "model": OLD,
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": as_stream,
    }
    assert seen.status == 200
    assert seen.text == " Hello there"
    assert seen.final["stop_reason"] == "stop_sequence"
    assert seen.final["stop"] == "\n\nHuman:"
    assert seen.final["model"] == "claude-haiku-4-5-20251001"
    assert seen.headers["tenuto-upstream"] == "claude"
    assert "warning" not in seen.headers


@both_ways
async def test_turns_and_system_become_messages(
    server: ScriptedServer, caller: Caller, as_stream: bool
) -> None:
    two_in_a_row = "\n\nHuman: A\n\nHuman: B\n\nAssistant: C"
    prompt = f"Be brief.{two_in_a_row}\n\nHuman: D\n\nAssistant:"
    body = await sent(server, caller, prompt, model=OLD, stream=as_stream)
    assert body["system"] == "Be brief."
    assert body["messages"] == [
        {"role": "user", "content": "A\n\nB"},
        {"role": "assistant", "content": "C"},
        {"role": "user", "content": "D"},
    ]


@both_ways
@pytest.mark.parametrize(
    ("start", "answer", "completion"),
    [
        (" {", '"a": 1}', '"a": 1}'),
        (" Once upon ", " a time", "a time"),
        (" Once upon\n", "a time", "a time"),
    ],
)
async def test_a_prefill_is_continued(
    server: ScriptedServer,
    caller: Caller,
    as_stream: bool,
    start: str,
    answer: str,
    completion: str,
) -> None:
    server.answers(claude.answer(answer, as_stream=as_stream))
    seen = await caller.complete(HI + start, model=OLD, stream=as_stream)
    last = server.requests[0].body["messages"][-1]
    assert last == {"role": "assistant", "content": start.strip()}
    assert seen.text == completion


@both_ways
@pytest.mark.parametrize(
    ("answer", "completion"),
    [
        ('{"a": 1}', '"a": 1}'),
        # It did not do as told: the caller sees what it said.
        ('Sure: {"a": 1}', ' Sure: {"a": 1}'),
    ],
)
async def test_unsupported_prefill_becomes_an_instruction(
    server: ScriptedServer, caller: Caller, as_stream: bool, answer: str, completion: str
) -> None:
    server.answers(claude.answer(answer, as_stream=as_stream))
    seen = await caller.complete("Be brief." + HI + " {", model=NEW, stream=as_stream)
    body = server.requests[0].body
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert body["system"].startswith("Be brief.\n\nYour answer must begin with exactly")
    assert "\n{\n" in body["system"]
    assert seen.text == completion
    expected = f'299 - "{NEW} does not support a prefill; it was sent as an instruction"'
    assert seen.headers["warning"] == expected


@both_ways
async def test_unsupported_prefill_is_rejected_with_prefill_refuse(
    server: ScriptedServer, as_stream: bool
) -> None:
    upstream = MessagesUpstream(base_url=server.url, prefill="refuse")
    async with caller_of({"claude": upstream}) as caller:
        seen = await caller.complete(HI + " {", model=NEW, stream=as_stream)
        assert (seen.status, seen.final["error"]["type"]) == (400, "invalid_request_error")
        assert seen.final["error"]["message"].startswith(f"prompt: {NEW} does not continue")
        assert server.requests == []
        assert (await caller.complete(HI + " {", model=OLD, stream=as_stream)).status == 200


@both_ways
async def test_unsupported_prefill_is_dropped_with_prefill_drop(
    server: ScriptedServer, as_stream: bool
) -> None:
    upstream = MessagesUpstream(base_url=server.url, prefill="drop")
    async with caller_of({"claude": upstream}) as caller:
        seen = await caller.complete(HI + " {", model=NEW, stream=as_stream)
    body = server.requests[0].body
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert "system" not in body
    assert seen.text == " Hello there"
    assert "it was left out" in seen.headers["warning"]


async def test_prompt_without_a_question_is_rejected_before_the_request(
    server: ScriptedServer, caller: Caller
) -> None:
    seen = await caller.complete("\n\nHuman:\n\nAssistant:", model=OLD)
    assert seen.status == 400
    assert "the first Human turn must not be empty" in seen.final["error"]["message"]
    assert server.requests == []


@pytest.mark.parametrize(
    ("model", "requested", "most"),
    [
        ("claude-3-haiku-20240307", 10_000, 4096),
        ("claude-3-haiku-20240307", 10, 10),
        (OLD, 100_000, 64_000),
    ],
)
async def test_max_tokens_are_capped_at_the_models_limit(
    server: ScriptedServer, caller: Caller, model: str, requested: int, most: int
) -> None:
    body = await sent(server, caller, model=model, max_tokens_to_sample=requested)
    assert body["max_tokens"] == most


@both_ways
@pytest.mark.parametrize(
    ("reason", "stop", "seen_reason", "seen_stop"),
    [
        ("end_turn", None, "stop_sequence", "\n\nHuman:"),
        ("stop_sequence", "END", "stop_sequence", "END"),
        ("max_tokens", None, "max_tokens", None),
        ("model_context_window_exceeded", None, "max_tokens", None),
        ("refusal", None, "stop_sequence", "\n\nHuman:"),
        ("pause_turn", None, "stop_sequence", "\n\nHuman:"),
        ("tool_use", None, "stop_sequence", "\n\nHuman:"),
        ("compaction", None, "stop_sequence", "\n\nHuman:"),
    ],
)
async def test_every_stop_reason_is_translated(
    server: ScriptedServer,
    caller: Caller,
    as_stream: bool,
    reason: str,
    stop: str | None,
    seen_reason: str,
    seen_stop: str | None,
) -> None:
    server.answers(claude.answer("Hello", as_stream=as_stream, reason=reason, stop=stop))
    seen = await caller.complete(model=OLD, stream=as_stream, stop_sequences=["END"])
    assert seen.text == " Hello"
    assert (seen.final["stop_reason"], seen.final["stop"]) == (seen_reason, seen_stop)


@both_ways
async def test_stop_sequences_are_sent_except_white_space(
    server: ScriptedServer, caller: Caller, as_stream: bool
) -> None:
    server.answers(claude.answer("One\nTwo", as_stream=as_stream))
    seen = await caller.complete(model=OLD, stream=as_stream, stop_sequences=["\n", "END"])
    assert server.requests[0].body["stop_sequences"] == ["END"]
    assert (seen.text, seen.final["stop"]) == (" One", "\n")


@both_ways
async def test_builtin_stop_sequence_is_matched_locally(
    server: ScriptedServer, caller: Caller, as_stream: bool
) -> None:
    server.answers(claude.answer("One\n\nHuman: Two", as_stream=as_stream))
    seen = await caller.complete(model=OLD, stream=as_stream)
    assert "stop_sequences" not in server.requests[0].body
    assert (seen.text, seen.final["stop"]) == (" One", "\n\nHuman:")


@pytest.mark.parametrize(
    ("model", "requested", "passed", "warned"),
    [
        (OLD, {"temperature": 0.5, "top_k": 3}, {"temperature": 0.5, "top_k": 3}, []),
        (OLD, {"temperature": 1.0, "top_p": 0.5}, {"top_p": 0.5}, []),
        (OLD, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ["top_p was left out"]),
        (
            "claude-3-5-sonnet-latest",
            {"temperature": 0.5, "top_p": 0.5},
            {"temperature": 0.5, "top_p": 0.5},
            [],
        ),
        (
            NEW,
            {"temperature": 0.5, "top_p": 0.5, "top_k": 3},
            {},
            ["not support temperature", "not support top_p", "not support top_k"],
        ),
        (NEW, {"temperature": 1.0}, {}, []),
    ],
)
async def test_sampling_fields_are_sent_where_the_model_supports_them(
    server: ScriptedServer,
    caller: Caller,
    model: str,
    requested: dict[str, Any],
    passed: dict[str, Any],
    warned: list[str],
) -> None:
    seen = await caller.complete(model=model, **requested)
    body = server.requests[0].body
    assert {k: v for k, v in body.items() if k in ("temperature", "top_p", "top_k")} == passed
    warning = seen.headers.get("warning", "")
    assert warning.count("299 - ") == len(warned)
    assert all(text in warning for text in warned)


async def test_metadata_is_sent(server: ScriptedServer, caller: Caller) -> None:
    body = await sent(server, caller, model=OLD, metadata={"user_id": "u1"})
    assert body["metadata"] == {"user_id": "u1"}


@pytest.mark.parametrize(
    ("model", "thinking", "warns"),
    [
        (OLD, None, False),
        ("claude-sonnet-5", {"type": "disabled"}, False),
        ("claude-opus-5", None, True),
    ],
)
async def test_thinking_is_disabled_where_the_model_allows_it(
    server: ScriptedServer, caller: Caller, model: str, thinking: object, warns: bool
) -> None:
    seen = await caller.complete(model=model)
    assert server.requests[0].body.get("thinking") == thinking
    assert ("thinks before it answers" in seen.headers.get("warning", "")) == warns


def test_seed_is_rejected() -> None:
    with refused(Kind.UNSUPPORTED, match="seed: claude-haiku-4-5 does not support it"):
        job = Job(parse_prompt(HI), 5, model=OLD, sampling=Sampling(seed=1))
        finish(MessagesUpstream().request_for(job))


@both_ways
async def test_log_has_the_token_usage(
    server: ScriptedServer, caller: Caller, as_stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await caller.complete(model=OLD, stream=as_stream)
    assert "input_tokens=9 cached_tokens=unknown output_tokens=3" in caplog.text


@both_ways
async def test_content_other_than_text_is_ignored(
    server: ScriptedServer, caller: Caller, as_stream: bool
) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "x"}
    if as_stream:
        think = event("content_block_delta", index=0, delta={"type": "thinking_delta"})
        not_yet = event("message_delta", delta={"stop_reason": None}, usage={})
        parts = [think, event("news"), not_yet, claude.delta("Hi"), claude.end()]
        server.answers(stream(claude.START, *parts))
    else:
        server.answers(claude.message("", content=[thought, {"type": "text", "text": "Hi"}]))
    assert (await caller.complete(model=OLD, stream=as_stream)).text == " Hi"


async def test_settings_override_the_capability_table(server: ScriptedServer) -> None:
    upstream = MessagesUpstream(
        base_url=server.url,
        takes_prefill=True,
        takes_sampling=True,
        takes_both=True,
        max_output_tokens=7,
    )
    async with caller_of({"own": upstream}) as caller:
        body = await sent(server, caller, HI + " {", model=NEW, temperature=0.5, top_p=0.5)
    assert body["messages"][-1] == {"role": "assistant", "content": "{"}
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.5, 0.5, 7)


async def test_events_received_together_are_coalesced(
    server: ScriptedServer, caller: Caller
) -> None:
    server.answers(
        stream(
            claude.START + claude.delta("a") + claude.delta("b"), claude.delta("c"), claude.end()
        )
    )
    job = Job(parse_prompt(HI), 5, model=OLD)
    pieces = [piece async for piece in caller.engine.generate(job)]
    assert [(piece.text, piece.tokens) for piece in pieces] == [
        *[("", 0), (" ab", 2), ("c", 1), ("", 0)]
    ]


@both_ways
@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (
            400,
            "invalid_request_error",
            "This model does not support assistant message prefill.",
        ),
        (
            400,
            "invalid_request_error",
            "`temperature` and `top_p` cannot both be specified for this model.",
        ),
        (
            400,
            "invalid_request_error",
            "max_tokens: 10000 > 4096, which is the maximum allowed number of output tokens",
        ),
        (404, "not_found_error", f"model: {OLD}"),
        (413, "request_too_large", "Request exceeds the maximum size"),
    ],
)
async def test_error_keeps_its_status_and_message(
    server: ScriptedServer, caller: Caller, as_stream: bool, status: int, kind: str, message: str
) -> None:
    server.answers(claude.error(status, kind, message))
    seen = await caller.complete(model=OLD, stream=as_stream)
    assert seen.status == status
    assert seen.final["error"] == {"type": kind, "message": message}
    assert len(server.requests) == 1


def test_raw_prompt_is_one_user_message() -> None:
    request = finish(MessagesUpstream().request_for(Job(raw_prompt("Once upon"), 5, model=OLD)))
    assert request.body["messages"] == [{"role": "user", "content": "Once upon"}]


async def test_response_without_a_message_is_an_error(
    server: ScriptedServer, caller: Caller
) -> None:
    server.answers(whole({"type": "completion", "completion": "x"}))
    seen = await caller.complete(model=OLD)
    assert (seen.status, seen.final["error"]["type"]) == (500, "api_error")
    assert "invalid response" in seen.final["error"]["message"]


@pytest.mark.parametrize("reason", [["end_turn"], {"type": "end_turn"}, 1, True])
async def test_stop_reason_of_another_type_counts_as_absent(
    server: ScriptedServer, caller: Caller, reason: object
) -> None:
    answer = {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": reason}
    server.answers(whole(answer))
    seen = await caller.complete(model=OLD)
    assert (seen.status, seen.text, seen.final["stop_reason"]) == (200, " Hi", "stop_sequence")
