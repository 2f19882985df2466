"""Copies of requests beside the answers of callers."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from tenuto.compare.answering import ask
from tenuto.compare.reply import Reply
from tenuto.core.job import Accepted, Job, Request
from tenuto.engine import registry
from tenuto.engine.base import Engine
from tenuto.engine.upstream.kinds.messages import MessagesUpstream
from tenuto.engine.upstream.route import RouteSettings
from tenuto.prompt.turns import parse_prompt
from tenuto.server.app import Application, create_app
from tenuto.server.shadow.copies import Copies
from tenuto.server.shadow.copy import Copy
from tenuto.settings import EngineSettings, PriceSettings, Settings, ShadowSettings
from tenuto.stream.meter import Meter
from tests.engine.upstream import claude
from tests.engine.upstream.callers import HI, Seen, seen
from tests.engine.upstream.scripted import (
    HANG,
    RESET,
    Received,
    Script,
    ScriptedServer,
    scripted_server,
    stream,
    whole,
)

pytestmark = pytest.mark.anyio

TO = "candidate:claude-sonnet-4-6"


@dataclass
class Shadowed:
    """A server with copies, the two upstreams behind it, and the lines of its file."""

    app: Application
    client: httpx2.AsyncClient
    present: ScriptedServer
    candidate: ScriptedServer
    file: Path
    seen: list[Seen] = field(default_factory=list)

    async def complete(self, prompt: str = HI, **fields: Any) -> Seen:
        body = {"model": "claude-2.1", "prompt": prompt, "max_tokens_to_sample": 50} | fields
        response = await self.client.post("/v1/complete", json=body)
        return seen(response)

    @property
    def copies(self) -> Copies:
        copies = self.app.shared.shadow.copies
        assert copies is not None
        return copies

    def counts(self) -> dict[str, int]:
        return dict(self.app.shared.shadow.counts)

    async def lines(self, copies: int = 1) -> list[dict[str, Any]]:
        """Wait for the end of copies, and return what the file has."""
        async with asyncio.timeout(10):
            while sum(self.counts().values()) < copies:
                await asyncio.sleep(0.005)
        await asyncio.to_thread(self.copies.writer.stop)
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().splitlines()]


def says(text: str) -> Callable[[Received], Script]:
    return lambda request: claude.answer(text, as_stream=request.body["stream"])


@asynccontextmanager
async def shadowed(
    folder: Path,
    present: Sequence[Script | Callable[[Received], Script]] = (says("Paris it is."),),
    candidate: Sequence[Script | Callable[[Received], Script]] = (says("Paris it is."),),
    **settings: Any,
) -> AsyncGenerator[Shadowed]:
    file = folder / "comparison.jsonl"
    async with scripted_server() as first, scripted_server() as second:
        first.answers(*present)
        second.answers(*candidate)
        shadow = replace(ShadowSettings(TO, file, share=1.0), **settings)
        engine_settings = EngineSettings(
            "routes",
            upstreams={
                "present": MessagesUpstream(base_url=first.url, model="claude-haiku-4-5"),
                "candidate": MessagesUpstream(base_url=second.url),
            },
            routes=(RouteSettings(("*",), ("present",), max_retries=0),),
            shadow=shadow,
        )
        prices = {"claude-haiku-*": PriceSettings(1.0, 5.0)}
        app_settings = Settings(engine=engine_settings, prices=prices)
        app = create_app(app_settings, registry.create(engine_settings))
        client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app),
            base_url="http://localhost",
            headers={"anthropic-version": "2023-06-01"},
        )
        async with client:
            try:
                yield Shadowed(app, client, first, second, file)
            finally:
                await app.shared.shadow.aclose()
                await app.shared.engine.aclose()


@pytest.mark.parametrize("stream", [False, True])
async def test_copy_is_compared_with_the_answer_of_the_caller(tmp_path: Path, stream: bool) -> None:
    async with shadowed(tmp_path, candidate=[says("Paris it was.")]) as server:
        answer = await server.complete(stream=stream)
        (line,) = await server.lines()

    assert answer.text == " Paris it is."
    (copied,) = server.candidate.requests
    (sent,) = server.present.requests
    assert copied.body["model"] == "claude-sonnet-4-6"
    assert copied.body["messages"] == sent.body["messages"]
    assert line["purpose"] == "shadow"
    assert line["requested"] == "claude-2.1"
    assert line["id"] == answer.headers["request-id"]
    assert (line["a"]["upstream"], line["b"]["upstream"]) == ("present", "candidate")
    assert (line["exact"], line["normalised"], line["same_end"]) == (False, False, True)
    assert line["length"] == 1.077  # 14 characters for 13.
    assert 0 < line["similarity"] < 1
    assert line["a"]["end"] == line["b"]["end"] == "turn"
    assert (line["a"]["input_tokens"], line["a"]["output_tokens"]) == (9, 3)
    # 9 and 3 tokens at 1 and 5 for a million.
    assert line["a"]["cost"] == 0.000024
    assert line["a"]["total_ms"] >= line["a"]["first_ms"] > 0
    assert line["spent"] == 12


async def test_file_holds_no_text_and_no_stop_sequence_unless_texts_are_kept(
    tmp_path: Path,
) -> None:
    secret = "\n\nHuman: my secret plan\n\nAssistant: the start"
    async with shadowed(tmp_path, candidate=[says("also secret")]) as server:
        await server.complete(secret, stop_sequences=["planned stop"])
        await server.lines()
        assert server.file.stat().st_mode & 0o777 == 0o600
        written = server.file.read_text()

    for text in ("secret", "plan", "Paris", "the start"):
        assert text not in written

    async with shadowed(tmp_path, candidate=[says("another")], keep_texts=True) as server:
        await server.complete(secret)
        *_, line = await server.lines()
    assert line["texts"] == {"prompt": secret, "a": "Paris it is.", "b": " another"}


async def test_noise_is_requested_of_the_same_upstream_and_model(tmp_path: Path) -> None:
    async with shadowed(tmp_path, share=0.0, noise_share=1.0) as server:
        await server.complete()
        (line,) = await server.lines()

    assert not server.candidate.requests
    assert [request.body["model"] for request in server.present.requests] == [
        "claude-haiku-4-5",
        "claude-haiku-4-5",
    ]
    assert (line["purpose"], line["exact"]) == ("noise", True)
    assert line["b"]["upstream"] == "present"


async def test_request_that_is_not_drawn_is_not_copied(tmp_path: Path) -> None:
    async with shadowed(tmp_path, share=0.0) as server:
        await server.complete()
        assert server.counts() == {}
    assert not server.candidate.requests
    assert not server.file.exists()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([HANG], "timeout"),
        ([RESET], "failed"),
        (whole({"error": {"type": "api_error"}}, 500), "failed"),
        (whole(b"garbage"), "failed"),
        (claude.message("x" * 250_000), "too_long"),
        (whole({"error": {"type": "rate_limit_error"}}, 429), "rate_limited"),
    ],
    ids=["hangs", "resets", "fails", "garbage", "floods", "refuses"],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_copy_that_hangs_fails_or_floods_is_not_noticed_by_the_caller(
    tmp_path: Path, script: Script, error: str, stream: bool
) -> None:
    # Long, where another error is expected: a machine may be slow.
    timeout_s = 0.3 if error == "timeout" else 20.0
    async with shadowed(tmp_path, candidate=[script], timeout_s=timeout_s) as server:
        answer = await server.complete(stream=stream)
        assert (answer.status, answer.text) == (200, " Paris it is.")
        assert "warning" not in answer.headers or "candidate" not in answer.headers["warning"]
        assert server.app.shared.engine.health().upstreams["candidate"].failures == 0
        (line,) = await server.lines()

    assert line["b"]["error"] == error
    assert "similarity" not in line
    # What may have been charged counts as spent.
    assert line["spent"] > 12


@pytest.mark.parametrize(
    "script",
    [
        # 1.2 MB in events of 12 kB, and no end.
        stream(claude.START, *[claude.delta("flood " * 2000)] * 100, HANG, end=False),
        # One event of 40 MiB, more than the reader of an upstream takes.
        stream(claude.START, claude.delta("x" * (40 << 20)), HANG, end=False),
    ],
    ids=["endless", "huge"],
)
async def test_stream_of_a_copy_that_floods_is_cut_and_not_noticed(
    tmp_path: Path, script: Script
) -> None:
    async with shadowed(tmp_path, candidate=[script], timeout_s=20.0) as server:
        answer = await server.complete(stream=True)
        assert (answer.status, answer.text) == (200, " Paris it is.")
        (line,) = await server.lines()
        # The flood is cut, although its end is far.
        async with asyncio.timeout(10):
            await server.candidate.left.wait()

    assert line["b"]["error"] in ("too_long", "failed")
    assert line["b"].get("chars", 0) <= 200_000


async def test_each_copy_has_all_of_its_time(tmp_path: Path) -> None:
    hangs_after_text = stream(claude.START, claude.delta("Paris"), HANG, end=False)
    scripts: list[Any] = [[HANG], hangs_after_text, says("Paris it is."), [HANG]]
    async with shadowed(tmp_path, candidate=scripts, timeout_s=2.0) as server:
        for number in range(1, 5):
            await server.complete(stream=True)
            async with asyncio.timeout(10):
                while len(server.candidate.requests) < number:
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)
        lines = await server.lines(4)

    late = [line["b"] for line in lines if line["b"].get("error") == "timeout"]
    assert sorted(each["chars"] for each in late) == [0, 0, len(" Paris")]
    assert all(each["total_ms"] >= 2000 for each in late)
    assert [line["b"]["end"] for line in lines if line["b"] not in late] == ["turn"]


@pytest.mark.parametrize("answers", ["whole", "left out", "hanging"])
async def test_copies_leave_no_work_for_the_garbage_collector(tmp_path: Path, answers: str) -> None:
    settings: dict[str, Any] = {"candidate": [[HANG]], "timeout_s": 0.1}
    requests = 12 if answers == "left out" else 3
    if answers != "hanging":
        settings = {"noise_share": 1.0, "max_concurrent": 8 if answers == "whole" else 1}
    async with shadowed(tmp_path, **settings) as server:
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for streamed in (False, True):
                await asyncio.gather(*(server.complete(stream=streamed) for _ in range(requests)))
            await server.lines(2 * requests * (1 if answers == "hanging" else 2))
            gc.collect()
            left = [each for each in gc.garbage if isinstance(each, (Copy, Reply, Meter))]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
        assert ("left_out_full" in server.counts()) == (answers == "left out")
    assert not left


async def test_keys_are_not_in_the_file_even_with_kept_texts(tmp_path: Path) -> None:
    planted = ("sk-ant-api03-in-the-prompt", "callers-own-key-17", "sk-ant-api03-in-the-answer")
    prompt = f"\n\nHuman: use {planted[0]} or {planted[1]}\n\nAssistant:"
    async with shadowed(tmp_path, candidate=[says(f"Use {planted[2]}")], keep_texts=True) as server:
        server.client.headers["x-api-key"] = planted[1]
        await server.complete(prompt)
        (line,) = await server.lines()
        written = server.file.read_text()

    for key in planted:
        assert key not in written
    assert line["texts"]["prompt"] == "\n\nHuman: use [scrubbed] or [scrubbed]\n\nAssistant:"
    assert line["texts"]["b"].endswith("Use [scrubbed]")


async def test_copy_that_was_begun_in_the_moment_of_the_end_is_abandoned(tmp_path: Path) -> None:
    async with shadowed(tmp_path, candidate=[[HANG]]) as server:
        request = Request(Job(parse_prompt(HI), 50, model="claude-2.1"), ())
        # Its task has not run a step.
        server.copies.beside("req_1", [request], Accepted(None, "present"), Meter())
        await server.app.shared.shadow.aclose()
        assert server.counts() == {"abandoned": 1}


async def test_copy_of_a_plain_answer_begins_after_it_or_not_at_all(tmp_path: Path) -> None:
    async with shadowed(tmp_path, candidate=[[HANG]], max_concurrent=1) as server:
        request = Request(Job(parse_prompt(HI), 50, model="claude-2.1", stream=False), ())
        meters = [Meter() for _ in range(4)]
        for number, meter in enumerate(meters):
            server.copies.beside(f"req_{number}", [request], Accepted(None, "present"), meter)
        await asyncio.sleep(0.02)
        assert (server.counts(), server.candidate.requests) == ({}, [])

        for meter in meters[:3]:
            assert meter.transcript is not None
            meter.transcript.close()
        async with asyncio.timeout(5):
            while not server.candidate.requests:
                await asyncio.sleep(0.005)
        # One runs, one waits, and the last one is of an answer that has not ended.
        assert server.counts() == {"left_out_full": 1}
        await server.app.shared.shadow.aclose()
        assert server.counts() == {"left_out_full": 1, "abandoned": 2}
        assert meters[3].transcript is not None
        meters[3].transcript.close()
        assert server.counts() == {"left_out_full": 1, "abandoned": 3}


async def test_copies_beyond_the_bound_are_left_out_and_callers_answered(tmp_path: Path) -> None:
    async with shadowed(tmp_path, candidate=[[HANG]], max_concurrent=2) as server:
        answers = await asyncio.gather(*(server.complete() for _ in range(10)))
        assert {answer.text for answer in answers} == {" Paris it is."}
        await server.lines(6)
        # Two run, two wait.
        assert server.counts() == {"left_out_full": 6}
        assert len(server.candidate.requests) <= 2
        await server.app.shared.shadow.aclose()
        assert server.counts() == {"left_out_full": 6, "abandoned": 4}


async def test_caller_is_answered_while_its_copy_hangs(tmp_path: Path) -> None:
    async with shadowed(tmp_path, candidate=[[HANG]]) as server:
        async with asyncio.timeout(5):
            await server.complete()
            while not server.candidate.requests:
                await asyncio.sleep(0.005)
        # A stop of the server does not wait for it, either.
        async with asyncio.timeout(2):
            await server.app.shared.shadow.aclose()
        assert server.counts() == {"abandoned": 1}


async def test_copies_end_with_the_budget_of_the_day(tmp_path: Path) -> None:
    # Reserved: 50 tokens, and 16 with a third of the prompt.
    async with shadowed(tmp_path, max_tokens_a_day=90) as server:
        for number in range(4):
            await server.complete()
            await server.lines(number + 1)
        assert server.counts() == {"answered": 2, "left_out_budget": 2}

    # Also after a restart.
    async with shadowed(tmp_path, max_tokens_a_day=90) as server:
        await server.complete()
        await server.lines()
        assert server.counts() == {"left_out_budget": 1}


async def test_no_copy_is_sent_while_its_upstream_is_paused(tmp_path: Path) -> None:
    async with shadowed(tmp_path, candidate=[[RESET]]) as server:
        for number in range(7):
            await server.complete()
            await server.lines(number + 1)
        assert server.counts() == {"failed": 5, "left_out_paused": 2}


async def test_copy_goes_on_when_its_caller_disconnects(tmp_path: Path) -> None:
    head, *rest = claude.answer("Paris", as_stream=True)
    async with shadowed(tmp_path, present=[[head, *rest[:-2], HANG]]) as server:
        task = asyncio.create_task(server.complete(stream=True))
        async with asyncio.timeout(5):
            while not server.counts():
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (line,) = await server.lines()

    assert (line["a"]["error"], line["b"]["end"]) == ("left", "turn")
    assert "similarity" not in line


async def test_comparison_of_json_has_the_validity_of_both_answers(tmp_path: Path) -> None:
    prompt = "\n\nHuman: Write JSON.\n\nAssistant: {"
    async with shadowed(
        tmp_path, present=[says('"a": 1}')], candidate=[says("Here it is")]
    ) as server:
        await server.complete(prompt)
        (line,) = await server.lines()

    assert line["a"]["json"] is True
    assert "json" not in line["b"]


async def test_full_file_ends_the_comparisons(tmp_path: Path) -> None:
    async with shadowed(tmp_path, max_file_mib=1) as server:
        server.file.write_bytes(b"x" * (1 << 20))
        await server.complete()
        async with asyncio.timeout(5):
            while not server.counts():
                await asyncio.sleep(0.005)
        await asyncio.to_thread(server.copies.writer.stop)
        assert server.file.stat().st_size == 1 << 20
        assert server.copies.writer.lost == 1
        assert "max_file_mib" in server.copies.writer.trouble


async def test_copies_are_counted_by_outcome_for_a_scrape(tmp_path: Path) -> None:
    async with shadowed(tmp_path) as server:
        await server.complete()
        await server.lines()
        scraped = (await server.client.get("/metrics")).text
    assert 'tenuto_shadow_copies_total{outcome="answered"} 1.0' in scraped
    assert 'tenuto_shadow_copies_total{outcome="left_out_budget"} 0.0' in scraped
    assert "tenuto_shadow_lost_total 0.0" in scraped


async def test_reload_ends_copies_and_begins_others(tmp_path: Path) -> None:
    async with shadowed(tmp_path) as server:
        settings = server.app.shared.settings
        await server.complete()
        await server.lines()
        spent = server.copies
        server.app.replaced(settings)()
        assert server.app.shared.shadow.copies is spent

        without = replace(settings, engine=replace(settings.engine, shadow=ShadowSettings()))
        server.app.replaced(without)()
        await server.complete()
        assert server.app.shared.shadow.copies is None
        assert server.counts() == {"answered": 1}

        server.app.replaced(settings)()
        await server.complete()
        assert len(await server.lines(2)) == 2


async def test_error_in_this_code_does_not_reach_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with shadowed(tmp_path) as server:
        failures = caplog.records
        for name in ("_add", "_begin", "_end", "_compare"):
            for stream in (False, True):
                failures.clear()
                with monkeypatch.context() as patch:
                    patch.setattr(server.copies, name, lambda *_: 1 / 0)
                    assert (await server.complete(stream=stream)).text == " Paris it is."
                    async with asyncio.timeout(5):
                        while not any(each.name == "tenuto.shadow" for each in failures):
                            await asyncio.sleep(0.005)
        # All is well again.
        written = len(await server.lines(0))
        copies = sum(server.counts().values())
        await server.complete()
        assert len(await server.lines(copies + 1)) == written + 1


@pytest.mark.parametrize("stream", [False, True])
async def test_copy_begins_after_bytes_of_the_answer_were_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    order: list[str] = []

    async def recorded(engine: Engine, *arguments: Any) -> None:
        order.append("copy")
        await ask(engine, *arguments)

    monkeypatch.setattr("tenuto.server.shadow.copies.ask", recorded)

    async with shadowed(tmp_path) as server:

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            async def sent(message: Message) -> None:
                order.append("body" if message.get("body") else "head")
                await send(message)

            await server.app(scope, receive, sent)

        transport = httpx2.ASGITransport(watched)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://localhost", headers=server.client.headers
        ) as client:
            await Shadowed(
                *(server.app, client, server.present, server.candidate, server.file)
            ).complete(stream=stream)
        await server.lines()

    assert order[: order.index("copy")] == (["head", "body"] if not stream else ["head"])
