"""The use of the old endpoint, by the log."""

from __future__ import annotations

import gzip
import json
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest

from tenuto.cli.main import main
from tenuto.core.job import Job, Request, Sampling
from tenuto.core.long_text import LongText
from tenuto.engine.echo import EchoEngine
from tenuto.migrate.log_report import Destination, reasons_of, usage_of
from tenuto.operations.keys.entry import KeyEntry
from tenuto.operations.keys.ring import hash_of
from tenuto.prompt.long_prompt import parse_long_prompt
from tenuto.prompt.turns import parse_prompt, raw_prompt
from tenuto.server.app import create_app
from tenuto.server.shape import shape_of
from tenuto.settings import Settings
from tests.server.test_log import logged

HAIKU = Destination(prefill=True, max_output_tokens=64_000)
NEWER = Destination(prefill=False, max_output_tokens=8_192)
T = TypeVar("T")
HI = "\n\nHuman: Hi\n\nAssistant:"


def shape(
    prompt: str = HI, *, stops: tuple[str, ...] = (), tokens: int = 300, **more: float
) -> str:
    parsed = parse_prompt(prompt) if "Human:" in prompt else raw_prompt(prompt)
    job = Job(parsed, tokens, Sampling(**more), stop_sequences=stops)  # type: ignore[arg-type]
    return shape_of(Request(job, stops))


def finished(steps: Generator[None, None, T]) -> T:
    """Return the result of a generator."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def test_shape_has_the_parts_of_a_request_and_no_text() -> None:
    assert shape() == "turns:1"
    assert shape(f"Be terse.{HI} {{") == "turns:1+system+prefill"
    assert shape(HI + " A" + HI) == "turns:5"
    assert shape(HI * 4) == "turns:20"
    assert shape(HI * 11) == "turns:more"
    assert shape("plain text") == "raw"
    assert shape(stops=("\n\nHuman:",)) == "turns:1"
    assert shape(stops=("x", "\n")) == "turns:1+stops+blank_stops"
    assert shape(temperature=0.5, top_p=0.9, top_k=5) == "turns:1+temperature+top_p+top_k"
    assert [shape(tokens=count) for count in (4096, 4097, 100_000, 200_000)] == [
        *("turns:1", "turns:1+tokens:8192", "turns:1+tokens:128000", "turns:1+tokens:more")
    ]


def test_long_prompt_is_not_taken_apart() -> None:
    steps = parse_long_prompt(LongText(f"{HI}{'x' * 200_000}".encode()), 10)
    assert shape_of(Request(Job(finished(steps), 5), ())) == "long"


@pytest.mark.parametrize(
    ("words", "haiku", "newer"),
    [
        ("turns:1+system+stops", [], []),
        ("turns:1+prefill", [], ["prefill"]),
        ("turns:1+tokens:32000", [], ["tokens"]),
        ("turns:1+tokens:more", ["tokens"], ["tokens"]),
        ("raw+temperature", ["raw", "temperature"], ["raw", "temperature"]),
        ("unknown", ["unknown"], ["unknown"]),
    ],
)
def test_shapes_convert_by_the_model(words: str, haiku: list[str], newer: list[str]) -> None:
    assert reasons_of(words, HAIKU) == haiku
    assert reasons_of(words, NEWER) == newer


async def _log(kind: str) -> list[str]:
    """The log of a server with a key, and some requests."""
    secret = "sk-team-secret"
    with logged(kind=kind) as lines:
        app = create_app(Settings(), EchoEngine())
        app.shared.accounts.replace_keys([KeyEntry(7, "team a", hash_of(secret))])  # type: ignore[attr-defined]
        headers = {"anthropic-version": "2023-06-01", "x-api-key": secret}
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://localhost", headers=headers
        ) as client:
            body = {"model": "claude-2.1", "prompt": HI, "max_tokens_to_sample": 50}
            await client.post("/v1/complete", json=body)
            await client.post("/v1/complete", json=body | {"stream": True, "temperature": 0.1})
            await client.post("/v1/complete", json=body | {"model": "other", "prompt": f"{HI} {{"})
            await client.post("/v1/complete", json=body | {"prompt": "no turns"})
            message = {"model": "claude-haiku-4-5", "max_tokens": 5}
            message["messages"] = [{"role": "user", "content": "Hi"}]
            await client.post("/v1/messages", json=message)
            await client.get("/health")
    assert "sk-" not in "".join(lines)
    return list(lines)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["text", "json"])
async def test_log_of_a_server_is_counted_by_key_and_model(kind: str) -> None:
    first, second = usage_of([*await _log(kind), "garbage", "{}", "{"], NEWER)

    assert (first.key, first.model, first.requests) == ("team a", "claude-2.1", 2)
    assert (first.as_they_are, first.streamed, first.moved) == (1, 1, 1)
    assert first.reasons == {"temperature": 1}
    assert first.shapes == {"turns:1": 1, "turns:1+temperature": 1}
    assert (second.model, second.reasons) == ("other", {"prefill": 1})


def test_report_is_printed_as_a_table_and_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = (
        "2026-11-25T23:50:01.123Z INFO tenuto.request: request_id=req_1 address=1 method=POST "
        "path=/v1/complete status=200 ms=1 model=claude-2 stream=false {}end=stop_sequence\n"
    )
    log = tmp_path / "log"
    log.write_text(line.format("shape=turns:1 ") + line.format("shape=raw ") + line.format(""))
    assert main(["migrate", "report", str(log)]) == 0
    out = capsys.readouterr().out
    assert "1 of 3 requests convert to claude-haiku-4-5 as they are." in out
    assert "1  raw: a prompt without turns" in out
    assert "2026-11-25T23:50:01.123Z" in out

    assert main(["migrate", "report", str(log), "--json"]) == 0
    (usage,) = json.loads(capsys.readouterr().out)["usage"]
    assert usage["shapes"] == {"turns:1": 1, "raw": 1, "unknown": 1}
    assert (usage["requests"], usage["as_they_are"]) == (3, 1)

    log.write_text(line.format("shape=turns:1 "))
    assert main(["migrate", "report", str(log)]) == 0
    assert "1 of 1 requests convert to claude-haiku-4-5 as they are.\n" in capsys.readouterr().out


def test_compressed_log_is_read_and_a_missing_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "x INFO tenuto.request: request_id=req_1 path={} model=m shape=turns:1 end=max_tokens\n"
    log = tmp_path / "log.1.gz"
    paths = ("/v1/complete", "/v1/messages")
    log.write_bytes(gzip.compress("".join(map(line.format, paths)).encode()))
    assert main(["migrate", "report", str(log)]) == 0
    assert "1 of 1 requests convert" in capsys.readouterr().out

    log.write_bytes(log.read_bytes()[:-9])
    for path in (log, tmp_path / "none"):
        assert main(["migrate", "report", str(path)]) == 2
        assert str(path) in capsys.readouterr().err


def test_requests_to_the_new_endpoint_are_printed_once_for_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "x INFO tenuto.request: request_id=r path={} model={} shape=turns:1 end=max_tokens\n"
    log = tmp_path / "log"
    log.write_text(
        line.format("/v1/complete", "one")
        + line.format("/v1/complete", "two")
        + line.format("/v1/messages", "new") * 7
    )

    assert main(["migrate", "report", str(log)]) == 0
    rows = [row.split() for row in capsys.readouterr().out.splitlines()[1:3]]
    assert sorted(row.count("7") for row in rows) == [0, 1]
