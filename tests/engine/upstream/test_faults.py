"""Each failure of an upstream, plain and streamed, alone and with a second upstream."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tenuto.engine.upstream import routing
from tenuto.engine.upstream.kinds.messages import MessagesUpstream
from tenuto.engine.upstream.route import RouteSettings
from tests.engine.upstream import claude
from tests.engine.upstream.callers import Caller, Seen, caller_of
from tests.engine.upstream.scripted import (
    HANG,
    RESET,
    Script,
    ScriptedServer,
    event,
    stream,
    whole,
)

pytestmark = pytest.mark.anyio

MODEL = "claude-haiku-4-5"
SILENCE_S = 0.2
UNREACHABLE = "The upstream cannot be reached."
SLOW = "The upstream did not respond in time."
INCOMPLETE = "The upstream's response is incomplete."
INVALID = "The upstream returned an invalid response."
LIMITED = "The upstream's rate limit is exceeded."
MOVED = (
    "The upstream responded with status 302, a redirect; check `base_url` in this server's "
    "settings."
)
FAILED = "The upstream failed with status 500."


@dataclass(frozen=True)
class Failure:
    """A failure of an upstream, and the error for the caller.

    Attributes:
        plain: What it does to a plain request, with `begun` bytes of an answer at hand.
        streamed: What it does to a streamed one.
        status: What the caller sees, of both.
        kind: The error's type.
        message: Its text.
        begun: Whether the stream has begun by then, so that it is too late for another try.
    """

    plain: Script
    streamed: Script
    status: int
    kind: str
    message: str
    begun: bool = False


BEGUN = claude.START + claude.delta("Hel")
CUT = whole({"type": "message", "content": []})[0][:-5]
assert isinstance(CUT, bytes)


def error(status: int, kind: str, message: str, shown: str, **headers: str) -> Failure:
    script = claude.error(status, kind, message, **headers)
    return Failure(script, script, status, kind, shown)


FAULTS = {
    "reset before headers": Failure([RESET], [RESET], 500, "api_error", UNREACHABLE),
    "reset mid-stream": Failure(
        [CUT, RESET], stream(BEGUN, RESET), 500, "api_error", INCOMPLETE, begun=True
    ),
    "hang before the first byte": Failure([HANG], [HANG], 504, "timeout_error", SLOW),
    "hang after the headers": Failure([CUT, HANG], stream(HANG), 504, "timeout_error", SLOW),
    "hang mid-stream": Failure(
        [CUT, HANG], stream(BEGUN, HANG), 504, "timeout_error", SLOW, begun=True
    ),
    "429": error(429, "rate_limit_error", "Slow down", LIMITED, retry_after="30"),
    "500": error(500, "api_error", "secret detail", FAILED),
    "503": Failure(
        whole(b"<html>", 503), whole(b"<html>", 503), 529, "overloaded_error", "Overloaded"
    ),
    "529": error(529, "overloaded_error", "Overloaded", "Overloaded"),
    "redirect": Failure(
        whole(b"", 302, location="http://x/"),
        whole(b"", 302, location="http://x/"),
        *(500, "api_error", MOVED),
    ),
    "invalid JSON": Failure(
        whole(b"{nope"), stream(b"event: message_start\ndata: {no\n\n"), 500, "api_error", INVALID
    ),
    "invalid JSON mid-stream": Failure(
        whole(b"[]"),
        stream(BEGUN, b"event: content_block_delta\ndata: {no\n\n"),
        *(500, "api_error", INVALID),
        begun=True,
    ),
    "no SSE at all": Failure(whole(b"\xff\xfe"), whole(b"\xff" * 100), 500, "api_error", INVALID),
    "truncated SSE": Failure(
        whole(b'{"type": "message", "content": ['),
        stream(BEGUN + claude.delta("lo")[:-9]),
        *(500, "api_error"),
        "",
        begun=True,
    ),
    "an error event first": Failure(
        [RESET],
        stream(claude.error_event("overloaded_error", "Overloaded")),
        *(529, "overloaded_error", "Overloaded"),
    ),
    "an error event mid-stream": Failure(
        claude.error(529, "overloaded_error", "Overloaded"),
        stream(BEGUN, claude.error_event("overloaded_error", "Overloaded")),
        *(529, "overloaded_error", "Overloaded"),
        begun=True,
    ),
    "garbage as an error event": Failure(
        whole(b"oops", 500),
        stream(BEGUN, b"event: error\ndata: oops\n\n"),
        *(500, "api_error", FAILED),
        begun=True,
    ),
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "delay_s", lambda attempt, chance: 0.0)


def upstream(url: str) -> MessagesUpstream:
    return MessagesUpstream(base_url=url, read_timeout_s=SILENCE_S)


def assert_error(seen: Seen, fault: Failure, *, streamed: bool) -> None:
    begun = streamed and fault.begun
    assert seen.status == (200 if begun else fault.status)
    assert seen.final["type"] == "error"
    assert seen.final["error"]["type"] == fault.kind
    if fault.message and (streamed or not fault.begun):
        assert seen.final["error"]["message"] == fault.message
    assert seen.text.startswith(" Hel" if begun else "")


async def assert_idle(caller: Caller, *servers: ScriptedServer) -> None:
    """Return whether no job runs, and all open connections can be reused."""
    assert caller.engine.health().running == 0
    await caller.engine.aclose()
    async with asyncio.timeout(5):
        while any(server.open for server in servers):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_fault_of_the_only_upstream_is_returned_to_the_caller(
    server: ScriptedServer, name: str, streamed: bool
) -> None:
    fault = FAULTS[name]
    server.answers(fault.streamed if streamed else fault.plain)
    route = RouteSettings(("*",), ("one",), max_retries=2)
    async with caller_of({"one": upstream(server.url)}, route) as caller:
        seen = await caller.complete(model=MODEL, stream=streamed)
        tries = 1 if name in ("redirect", "429") or (streamed and fault.begun) else 3
        assert len(server.requests) == tries
        if not (streamed and fault.begun) and name not in ("an error event first", "truncated SSE"):
            assert_error(seen, fault, streamed=streamed)
        assert seen.final["type"] == "error"
        await assert_idle(caller, server)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_fault_before_the_first_byte_fails_over_to_the_next_upstream(
    server: ScriptedServer, backup: ScriptedServer, name: str, streamed: bool
) -> None:
    fault = FAULTS[name]
    server.answers(fault.streamed if streamed else fault.plain)
    route = RouteSettings(("*",), ("one", "two"), max_retries=0)
    upstreams = {"one": upstream(server.url), "two": upstream(backup.url)}
    async with caller_of(upstreams, route) as caller:
        seen = await caller.complete(model=MODEL, stream=streamed)
        assert len(server.requests) == 1
        if streamed and fault.begun:
            assert backup.requests == []
            assert seen.headers["tenuto-upstream"] == "one"
            assert_error(seen, fault, streamed=True)
        else:
            assert (seen.status, seen.text) == (200, " From the backup")
            assert seen.headers["tenuto-upstream"] == "two"
            assert seen.headers["warning"].startswith('299 - "two answers instead of one (')
        await assert_idle(caller, server, backup)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_refused_connection_fails_over(backup: ScriptedServer, streamed: bool) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # Bound, but it does not listen.
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        async with caller_of({"one": upstream(url)}) as caller:
            seen = await caller.complete(model=MODEL, stream=streamed)
            assert (seen.status, seen.final["error"]["message"]) == (500, UNREACHABLE)
        upstreams = {"one": upstream(url), "two": upstream(backup.url)}
        async with caller_of(upstreams) as caller:
            seen = await caller.complete(model=MODEL, stream=streamed)
            assert (seen.text, seen.headers["tenuto-upstream"]) == (" From the backup", "two")
            await assert_idle(caller, backup)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_first_byte_timeout_of_the_route_is_applied(
    server: ScriptedServer, backup: ScriptedServer, streamed: bool
) -> None:
    server.answers([HANG])
    route = RouteSettings(("*",), ("one", "two"), max_retries=0, first_byte_timeout_s=0.1)
    upstreams = {
        "one": MessagesUpstream(base_url=server.url),
        "two": MessagesUpstream(base_url=backup.url),
    }
    async with caller_of(upstreams, route) as caller:
        seen = await caller.complete(model=MODEL, stream=streamed)
        assert seen.headers["tenuto-upstream"] == "two"
        async with asyncio.timeout(5):
            await server.left.wait()  # Nobody waits for the answer any more.
        await assert_idle(caller, server, backup)


async def test_retry_after_is_honoured_and_forwarded(server: ScriptedServer) -> None:
    soon = claude.error(429, "rate_limit_error", "Slow down", retry_after_ms="50")
    server.answers(soon, claude.message("At last"))
    async with caller_of({"one": upstream(server.url)}) as caller:
        clock = asyncio.get_running_loop().time
        started = clock()
        assert (await caller.complete(model=MODEL)).text == " At last"
        assert clock() - started >= 0.05
        server.answers(claude.error(429, "rate_limit_error", "Slow down", retry_after="30"))
        seen = await caller.complete(model=MODEL)
        assert (seen.status, seen.headers["retry-after"]) == (429, "30")


@pytest.mark.parametrize("status", [401, 403])
async def test_rejected_operator_key_is_not_a_client_error(
    server: ScriptedServer, status: int
) -> None:
    server.answers(claude.error(status, "authentication_error", "invalid x-api-key"))
    keyed = MessagesUpstream(base_url=server.url, api_key="sk-ours")
    async with caller_of({"one": keyed}) as caller:
        seen = await caller.complete(model=MODEL, key="sk-theirs")
        assert server.requests[-1].headers["x-api-key"] == "sk-ours"
        assert (seen.status, seen.final["error"]["type"]) == (500, "api_error")
        assert "rejects this server's API key" in seen.final["error"]["message"]
    forwarding = MessagesUpstream(base_url=server.url, forward_key=True)
    async with caller_of({"one": forwarding}) as caller:
        seen = await caller.complete(model=MODEL, key="sk-theirs")
        assert server.requests[-1].headers["x-api-key"] == "sk-theirs"
        assert (seen.status, seen.final["error"]["message"]) == (status, "invalid x-api-key")


async def test_callers_key_is_not_forwarded_by_default(server: ScriptedServer) -> None:
    server.answers(claude.message("Hi"))
    async with caller_of({"one": upstream(server.url)}) as caller:
        await caller.complete(model=MODEL, key="sk-theirs")
    sent = str(server.requests[0])
    assert "sk-theirs" not in sent


async def test_log_has_the_upstreams_request_id_without_key_and_prompt(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers(claude.error(400, "invalid_request_error", "You said: tell nobody"))
    keyed = MessagesUpstream(base_url=server.url, api_key="sk-ours")
    async with caller_of({"one": keyed}) as caller:
        await caller.complete("\n\nHuman: tell nobody\n\nAssistant:", model=MODEL)
    assert claude.REQUEST_ID in caplog.text
    assert "sk-ours" not in caplog.text
    assert "tell nobody" not in caplog.text


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(lambda: [HANG], id="before the headers"),
        pytest.param(lambda: stream(HANG), id="before the first event"),
        pytest.param(lambda: stream(BEGUN, HANG), id="mid-stream"),
    ],
)
async def test_disconnect_closes_the_upstream_request(
    server: ScriptedServer, script: Callable[[], Script]
) -> None:
    server.answers(script())
    async with caller_of({"one": MessagesUpstream(base_url=server.url)}) as caller:
        response_task = asyncio.create_task(caller.complete(model=MODEL, stream=True))
        async with asyncio.timeout(5):
            while not server.requests:
                await asyncio.sleep(0)
            response_task.cancel()
            await asyncio.wait([response_task])
            await server.left.wait()
        await assert_idle(caller, server)


async def test_connections_are_reused_for_plain_and_streamed_responses(
    server: ScriptedServer,
) -> None:
    # The last chunk comes after the last event, as many servers send it.
    server.answers(lambda request: claude.answer("Hello there", as_stream=request.body["stream"]))
    async with caller_of({"one": upstream(server.url)}) as caller:
        for streamed in [True, False, True, True]:
            assert (await caller.complete(model=MODEL, stream=streamed)).text == " Hello there"
            await asyncio.sleep(0.05)
        assert server.connections == 1


async def test_stream_left_open_after_its_end_is_closed(server: ScriptedServer) -> None:
    server.answers(stream(claude.START, claude.delta("Hi"), claude.end(), HANG))
    async with caller_of({"one": MessagesUpstream(base_url=server.url)}) as caller:
        async with asyncio.timeout(5):
            assert (await caller.complete(model=MODEL, stream=True)).text == " Hi"
            await server.left.wait()
        await assert_idle(caller, server)


async def test_unknown_event_is_ignored(server: ScriptedServer) -> None:
    server.answers(stream(event("news", x=1) + BEGUN, event("news"), claude.end()))
    async with caller_of({"one": upstream(server.url)}) as caller:
        assert (await caller.complete(model=MODEL, stream=True)).text == " Hel"
