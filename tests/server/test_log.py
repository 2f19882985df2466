"""The log on standard error, read and unread."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenuto.core.events import End
from tenuto.core.job import Piece
from tenuto.core.refusal import failed, overloaded
from tenuto.engine.echo import EchoEngine
from tenuto.operations.keys.entry import KeyEntry
from tenuto.operations.keys.ring import hash_of
from tenuto.operations.records import RequestRecord
from tenuto.server.log import LineWriter, Log, logging_to_stderr
from tenuto.server.request_log import RequestLog
from tenuto.settings import ApiSettings, LimitSettings, LogSettings, ServerSettings, Settings
from tests.conftest import PATIENCE_S
from tests.server.test_endpoint import BODY, ScriptedEngine, client_of
from tests.server.test_http import post
from tests.server.test_protocol import exchange, listening

pytestmark = pytest.mark.anyio


class Lines(LineWriter):
    """A writer that keeps the lines."""

    def __init__(self) -> None:
        super().__init__(None)
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line)


@contextmanager
def logged(level: str = "info", kind: str = "text") -> Iterator[list[str]]:
    """Collect the lines that Tenuto logs in this block."""
    lines = Lines()
    settings = LogSettings(level=level, format=kind)  # type: ignore[arg-type]
    ours, log = logging.getLogger("tenuto"), Log(settings, lines)
    before = ours.level
    ours.setLevel(level.upper())
    ours.addHandler(log)
    try:
        yield lines.lines
    finally:
        ours.removeHandler(log)
        ours.setLevel(before)


def requests(lines: list[str]) -> list[str]:
    return [line for line in lines if " tenuto.request: " in line]


def fields_of(line: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", line))


@asynccontextmanager
async def logged_client(
    settings: Settings | None = None, engine: EchoEngine | None = None
) -> AsyncGenerator[httpx2.AsyncClient]:
    async with client_of(engine or EchoEngine(), settings or Settings()) as client:
        yield client


KEYED = Settings(server=ServerSettings(api_keys=("sk-right",)))


async def test_every_request_is_logged_in_one_line() -> None:
    with logged() as lines:
        async with logged_client(KEYED) as client:
            right = {"x-api-key": "sk-right"}
            answers = [
                await client.post("/v1/complete", json=BODY),
                await client.post("/v1/complete", json=BODY, headers={"x-api-key": "sk-wrong"}),
                await client.post("/v1/complete", json=BODY, headers=right),
                await client.post("/v1/complete", json=BODY | {"prompt": 1}, headers=right),
                await client.post("/v1/nowhere", json=BODY, headers=right),
                await client.get("/v1/complete", headers=right),
                await client.post("/v1/complete", json=BODY, headers={"host": "evil.example"}),
                await client.get("/v1/models", headers=right),
                await client.head("/v1/models/x?api_key=sk-secret", headers=right),
            ]
    logs = [fields_of(line) for line in requests(lines)]
    assert [log["request_id"] for log in logs] == [a.headers["request-id"] for a in answers]
    assert [log["status"] for log in logs] == [str(answer.status_code) for answer in answers]
    assert [answer.status_code for answer in answers] == [
        401,
        401,
        200,
        400,
        404,
        405,
        403,
        200,
        200,
    ]
    assert [(log["method"], log["path"]) for log in logs[4:6]] == [
        ("POST", "/v1/nowhere"),
        ("GET", "/v1/complete"),
    ]
    assert all(log["address"] == "127.0.0.1" and float(log["ms"]) >= 0 for log in logs)
    assert [log["end"] for log in logs] == [
        *("authentication_error", "authentication_error", "stop_sequence"),
        *("invalid_request_error", "not_found_error", "invalid_request_error"),
        *("permission_error", "ok", "ok"),
    ]
    whole = logs[2]
    assert (whole["model"], whole["stream"], whole["output_tokens"]) == ("claude-2.1", "false", "3")
    assert "sk-" not in "".join(lines)
    assert "one two" not in "".join(lines)


async def test_access_and_server_errors_are_logged_as_warnings() -> None:
    broken = failed("It broke.")
    with logged("warning") as lines:
        async with logged_client(KEYED) as client:
            await client.post("/v1/complete", json=BODY)  # 401
            await client.get("/v1/nowhere")  # 404
            await client.post("/v1/complete", json=BODY, headers={"host": "evil.example"})  # 403
        for script in ([overloaded("Full.")], [broken], [Piece(""), Piece(" a", 1), broken]):
            async with logged_client(engine=ScriptedEngine(*script)) as client:
                await client.post("/v1/complete", json=BODY | {"stream": True, "model": "x"})
    logs = [fields_of(line) for line in requests(lines)]
    assert [log["status"] for log in logs] == ["401", "403", "529", "500", "200"]
    assert logs[-1]["end"] == "api_error"
    assert all(" WARNING " in line for line in requests(lines))


async def test_probes_are_logged_only_for_debugging() -> None:
    for level, count in (("info", 0), ("debug", 2)):
        with logged(level) as lines:
            async with logged_client() as client:
                await client.get("/health")
                await client.get("/ready")
        assert len(requests(lines)) == count


async def test_requests_without_a_route_are_logged() -> None:
    limits = LimitSettings(max_header_bytes=2048, head_timeout_s=0.2)
    with logged() as lines:
        async with listening(limits) as port:
            await exchange(port, b"HELLO\r\n\r\n")
            await exchange(port, b"GET /a?key=sk-secret HTTP/1.1\r\nx: " + b"a" * 9000)
            await exchange(port, b"POST /v1/com")
            await exchange(port, b"")  # Nobody asked.
            await exchange(port, b"CONNECT a.b:1 HTTP/1.1\r\n\r\n")
        async with listening(LimitSettings(max_connections=1)) as port:
            _, held = await asyncio.open_connection("127.0.0.1", port)
            await exchange(port, b"GET / HTTP/1.1\r\n\r\n")
            held.close()
    logs = [fields_of(line) for line in requests(lines)]
    assert [log["status"] for log in logs] == ["400", "431", "408", "405", "529"]
    assert (logs[1]["method"], logs[1]["path"]) == ("GET", "/a")
    assert all(log["address"] == "127.0.0.1" for log in logs)
    assert all(log["request_id"].startswith("req_") for log in logs)
    assert "secret" not in "".join(lines)


async def test_first_line_of_invalid_http_is_not_logged() -> None:
    with logged() as lines:
        async with listening() as port:
            await exchange(port, b"POST /rest-of-a-prompt HTTP/1.1\r\nno header\r\n\r\n")
    (line,) = requests(lines)
    assert fields_of(line)["path"] == "-"


@pytest.mark.parametrize("pieces", [1, 2])
async def test_invalid_http_body_is_logged_in_one_line(pieces: int) -> None:
    head = post(b"", "x: y", close=False).replace(
        b"content-length: 0", b"transfer-encoding: chunked"
    )
    with logged() as lines:
        async with listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for piece in [head + b"zz\r\n"] if pieces == 1 else [head, b"zz\r\n"]:
                writer.write(piece)
                await asyncio.sleep(0.05)
            async with asyncio.timeout(10):
                answer = await reader.read()
            writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    (line,) = requests(lines)
    assert fields_of(line)["status"] == "400"
    assert f"request-id: {fields_of(line)['request_id']}\r\n".encode() in answer


async def test_client_data_cannot_forge_or_hide_a_line() -> None:
    evil = (
        "x\n2026-01-01T00:00:00.000Z INFO tenuto.request: forged\r\x1b[2J\u202e\x85\u2028\ud800\0"
    )
    with logged() as lines:
        async with logged_client() as client:
            content = json.dumps(BODY | {"model": evil}).encode()
            await client.post("/v1/complete", content=content)
            content = json.dumps(BODY | {"model": evil.replace("\ud800", "")}).encode()
            await client.post("/v1/complete", content=content)
            await client.post("/v1/complete", json=BODY | {"model": 'a b=c status=200 " x'})
            await client.get("/v1/%0A%1b%5B31m%E2%80%AE" + "y" * 5000)
    for line in lines:
        assert line.isprintable()
        assert len(line) < 1000
    assert all(line.count(" end=") == 1 and line.count(" status=") == 1 for line in requests(lines))
    assert " 2026-01-01" not in "".join(requests(lines))


async def test_a_model_name_with_spaces_stays_one_value() -> None:
    with logged() as lines:
        async with logged_client() as client:
            await client.post("/v1/complete", json=BODY | {"model": 'a b=c "d'})
    (line,) = requests(lines)
    assert fields_of(line)["model"] == "a\\u0020b\\u003dc\\u0020\\u0022d"


async def test_each_json_line_is_an_object() -> None:
    with logged("debug", "json") as lines:
        async with logged_client(Settings(api=ApiSettings(extensions=True))) as client:
            answer = await client.post("/v1/complete", json=BODY | {"model": "ä\n"})
        try:
            raise ValueError("two\nlines")
        except ValueError:
            logging.getLogger("tenuto.test").exception("a bug")
    objects = [json.loads(line) for line in lines]
    assert all({"time", "level", "logger"} <= one.keys() for one in objects)
    whole: dict[str, Any] = next(one for one in objects if one.get("model"))
    assert whole["request_id"] == answer.headers["request-id"]
    assert (whole["status"], whole["stream"], whole["end"]) == (200, False, "stop_sequence")
    assert (whole["input_tokens"], whole["output_tokens"]) == (5, 3)
    assert objects[-1]["message"] == "a bug"
    assert objects[-1]["trace"].endswith("ValueError: two\nlines")


async def test_key_name_is_logged_and_the_key_is_not() -> None:
    entry = KeyEntry(7, "team a", hash_of("sk-team-secret"))
    for kind in ("text", "json"):
        with logged(kind=kind) as lines:
            async with logged_client() as client:
                app: Any = client._transport.app  # type: ignore[attr-defined]
                app.shared.accounts.replace_keys([entry])
                headers = {"x-api-key": "sk-team-secret"}
                await client.post("/v1/complete", json=BODY, headers=headers)
                await client.post("/v1/complete", json=BODY, headers={"x-api-key": "sk-wrong"})
        first, second = (line for line in lines if "/v1/complete" in line)
        name = "key=team\\u0020a " if kind == "text" else '"key":"team a"'
        assert name in first
        assert "key=" not in second
        assert '"key"' not in second
        assert "sk-" not in "".join(lines)


async def test_every_line_of_a_request_has_its_id() -> None:
    class Talkative(EchoEngine):
        async def generate(self, job):  # type: ignore[no-untyped-def]
            logging.getLogger("tenuto.upstream").warning("upstream %s failed", "a")
            async for piece in super().generate(job):
                yield piece

    for kind in ("text", "json"):
        with logged(kind=kind) as lines:
            async with logged_client(engine=Talkative()) as client:
                answers = [await client.post("/v1/complete", json=BODY) for _ in range(2)]
            logging.getLogger("tenuto.server").info("outside")
        middle = [line for line in lines if "upstream a failed" in line]
        ids = [answer.headers["request-id"] for answer in answers]
        if kind == "json":
            assert [json.loads(line)["request_id"] for line in middle] == ids
        else:
            assert [fields_of(line)["request_id"] for line in middle] == ids
        assert "req_" not in lines[-1]


CLIENT_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)


@given(model=CLIENT_TEXT, path=CLIENT_TEXT, key=CLIENT_TEXT, message=CLIENT_TEXT)
@example(model='"', path="\n", key="\ud800", message="\x1b\u2028")
@example(model="\ud800", path="=", key=" ", message="\ud800\udc00\udfff")
def test_lines_stay_valid_with_any_text_of_a_client(
    model: str, path: str, key: str, message: str
) -> None:
    record = RequestRecord(
        *("req_1", "::1", "POST", path, 1.8e9, 0.0),
        key=key,
        status=200,
        requested_model=model,
        stream=True,
        upstream=model,
        outcome=End.STOP,
    )
    for kind in ("text", "json"):
        with logged("debug", kind) as lines:
            RequestLog().ended(record)
            logging.getLogger("tenuto.test").info("%s", message)
        assert len(lines) == 2
        assert all(line.isprintable() for line in lines)
        if kind == "json":
            request, other = (json.loads(line.encode("ascii")) for line in lines)
            assert (request["request_id"], request["end"]) == ("req_1", "stop_sequence")
            assert all(json.dumps(one, ensure_ascii=False).encode() for one in (request, other))
            if message.isascii():
                assert other["message"] == message
        else:
            names = [field.split("=")[0] for field in lines[0].split(" ")[3:]]
            expected = ["request_id", "address", "method", "path", "status", "ms"]
            expected += ["key"] * bool(key) + ["model", "stream", "upstream", "end"]
            assert names == expected


def test_a_traceback_cannot_look_like_a_line() -> None:
    with logged() as lines:
        try:
            raise ValueError("x\n2026-01-01T00:00:00.000Z INFO tenuto.request: forged")
        except ValueError:
            logging.getLogger("tenuto.test").exception("a\nbug")
    (text,) = lines
    first, *rest = text.split("\n")
    assert first.endswith("a\\u000abug")
    assert rest
    assert all(line.startswith("    ") for line in rest)


def test_a_line_has_the_time_in_utc() -> None:
    with logged() as lines:
        record = logging.makeLogRecord({"name": "tenuto.x", "msg": "hi", "levelno": 20})
        record.levelname, record.created = "INFO", 1_800_000_000.0425
        logging.getLogger("tenuto.x").handle(record)
    assert lines == ["2027-01-15T08:00:00.042Z INFO tenuto.x: hi"]


# Standard error that nobody reads.


def test_full_pipe_drops_lines_and_does_not_block() -> None:
    reader, writer = os.pipe()
    lines = LineWriter(writer, most_lines=100)
    done = threading.Event()

    def log() -> None:
        for number in range(20_000):
            lines.write(f"line {number}")
        done.set()

    threading.Thread(target=log, daemon=True).start()
    assert done.wait(PATIENCE_S), "the log waited for its reader"
    closing = threading.Thread(target=lines.close, args=(PATIENCE_S,))
    closing.start()
    text = b""
    while b"were dropped" not in text:
        text += os.read(reader, 65536)
    closing.join(PATIENCE_S)
    os.close(reader)
    os.close(writer)
    assert text.startswith(b"line 0\nline 1\n")


def test_lines_are_written_whole_and_in_order() -> None:
    reader, writer = os.pipe()
    lines = LineWriter(writer)
    for number in range(500):
        lines.write(f"line {number} é\ud800")
    lines.close(PATIENCE_S)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as stream:
        assert stream.read().splitlines() == [f"line {n} é\\ud800" for n in range(500)]


def test_closed_pipe_is_ignored() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    lines = LineWriter(writer)
    lines.write("a")
    lines.close(PATIENCE_S)
    os.close(writer)


def test_closed_standard_error_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with logging_to_stderr(LogSettings()) as log:
        log.announce("Listening")
        logging.getLogger("tenuto.x").info("hi")


def test_warnings_of_libraries_are_logged() -> None:
    reader, writer = os.pipe()
    code = (
        "import logging, sys\n"
        "from tenuto.server.log import logging_to_stderr\n"
        "from tenuto.settings import LogSettings\n"
        "with logging_to_stderr(LogSettings(level='debug')) as log:\n"
        "    logging.getLogger('httpx2').info('GET /secret')\n"
        "    logging.getLogger('asyncio').warning('slow')\n"
        "    logging.getLogger('tenuto.x').debug('ours')\n"
        "    log.announce('Stopped.')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=writer, timeout=PATIENCE_S, check=True
    )
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as stream:
        text = stream.read()
    assert done.returncode == 0
    assert [line.partition("Z ")[2] or line for line in text.splitlines()] == [
        "WARNING asyncio: slow",
        "DEBUG tenuto.x: ours",
        "Stopped.",
    ]


# The client's address.


@pytest.mark.parametrize(
    ("trusted", "headers", "address"),
    [
        ([], ["x-forwarded-for: 192.0.2.1"], "127.0.0.1"),
        (["127.0.0.1"], ["x-forwarded-for: 192.0.2.1"], "192.0.2.1"),
        (["127.0.0.1"], [], "127.0.0.1"),
        # The client's own invention stands before what the proxy adds.
        (["127.0.0.1"], ["x-forwarded-for: 6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (["127.0.0.1"], ["x-forwarded-for: 6.6.6.6", "x-forwarded-for: 192.0.2.1"], "192.0.2.1"),
        (["127.0.0.0/8", "10.0.0.0/8"], ["x-forwarded-for: 192.0.2.1, 10.1.2.3"], "192.0.2.1"),
        (["127.0.0.1"], ["x-forwarded-for: 10.0.0.1"], "10.0.0.1"),
        (["127.0.0.1"], ["x-forwarded-for: 192.0.2.1:4711"], "192.0.2.1"),
        (["127.0.0.1"], ["x-forwarded-for: [2001:db8::1]:4711"], "2001:db8::1"),
        (["127.0.0.1"], ["x-forwarded-for: 2001:db8::1"], "2001:db8::1"),
        (["127.0.0.1"], ["x-forwarded-for: evil name=x"], "127.0.0.1"),
        (["127.0.0.1"], ["x-forwarded-for: "], "127.0.0.1"),
        (["10.0.0.1"], ["x-forwarded-for: 192.0.2.1"], "127.0.0.1"),
        (["127.0.0.1"], ["forwarded: for=192.0.2.1;proto=http;by=203.0.113.4"], "192.0.2.1"),
        (["127.0.0.1"], ['forwarded: for=6.6.6.6, FOR="[2001:db8::1]:80"'], "2001:db8::1"),
        (["127.0.0.1"], ["forwarded: for=unknown"], "127.0.0.1"),
        # A proxy passes on the header that it does not write.
        (["127.0.0.1"], ["forwarded: for=6.6.6.6", "x-forwarded-for: 192.0.2.1"], "127.0.0.1"),
        (["127.0.0.1"], ["forwarded: for=192.0.2.1", "x-forwarded-for: 192.0.2.1"], "192.0.2.1"),
    ],
)
async def test_forwarded_address_is_read_from_trusted_proxies_only(
    trusted: list[str], headers: list[str], address: str
) -> None:
    with logged() as lines:
        async with listening(trusted_proxies=tuple(trusted)) as port:
            await exchange(port, post(b"{}", *headers))
    assert [fields_of(line)["address"] for line in requests(lines)] == [address]
