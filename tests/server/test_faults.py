"""Faults by rules: `tenuto serve --faults`."""

from __future__ import annotations

import json
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.cassette.index import Index, scrubber_of
from tenuto.cassette.replaying import ReplayEngine
from tenuto.cli.main import main
from tenuto.engine.echo import EchoEngine
from tenuto.server.app import create_app
from tenuto.server.faults import Faults
from tenuto.settings import Settings
from tenuto.settings.faults import FaultRule, FaultSettings, load_faults
from tests.cassette.tapes import lines_of, recorded_by
from tests.conftest import PATIENCE_S, RunningServer, running_server
from tests.server.test_endpoint import BODY, HEADERS

RULES = """
[[fault]]
kind = "rate_limited"
times = 1
retry_after = 7
[[fault]]
kind = "overloaded"
times = 1
[[fault]]
kind = "disconnect"
times = 1
[[fault]]
kind = "disconnect"
events = 2
times = 1
[[fault]]
kind = "disconnect"
events = 1
times = 1
[[fault]]
kind = "garbage"
times = 1
[[fault]]
kind = "garbage"
events = 1
times = 1
[[fault]]
kind = "delay"
seconds = 0.4
times = 1
"""


def post(server: RunningServer, *, stream: bool = False, key: str = "") -> httpx2.Response:
    url, body = f"{server.url}/v1/complete", {**BODY, "stream": stream}
    headers = HEADERS | ({"idempotency-key": key} if key else {})
    return httpx2.post(url, json=body, headers=headers, timeout=PATIENCE_S)


def streamed_until_cut(server: RunningServer) -> str:
    """Return the text of a stream up to its broken end."""
    received = b""
    url, body = f"{server.url}/v1/complete", {**BODY, "stream": True}
    with httpx2.stream("POST", url, json=body, headers=HEADERS, timeout=PATIENCE_S) as response:
        try:
            for part in response.iter_raw():
                received += part
        except httpx2.RemoteProtocolError:
            return received.decode()
    raise AssertionError("the stream has an end")


def test_each_kind_of_fault_reaches_the_client(tmp_path: Path) -> None:
    rules, settings = tmp_path / "faults.toml", tmp_path / "tenuto.toml"
    rules.write_text(RULES)
    settings.write_text('[engine]\nname = "echo"\n')
    with running_server("--config", str(settings), "--faults", str(rules)) as server:
        limited = post(server)
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
        assert limited.json()["error"]["type"] == "rate_limit_error"
        assert post(server).status_code == 529
        with pytest.raises(httpx2.RemoteProtocolError):
            post(server)
        cut = streamed_until_cut(server)
        assert cut.count("event: completion") == 2
        with pytest.raises(httpx2.RemoteProtocolError):
            post(server)
        garbage = post(server)
        assert garbage.status_code == 200
        with pytest.raises(ValueError, match=r"."):
            garbage.json()
        stream = post(server, stream=True).content.split(b"\n\n")
        assert json.loads(stream[0].partition(b"data: ")[2])["completion"] == " one"
        assert stream[1].startswith(b'event: completion\ndata: {"completion": "\xff')
        assert json.loads(stream[2].partition(b"data: ")[2])["completion"] == " two"
        start = time.monotonic()
        assert post(server).json()["completion"] == " one two three"
        assert time.monotonic() - start > 0.39
        assert post(server).json()["completion"] == " one two three"
        server.wait_until_idle(10)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == 0
    assert "8 faults were injected.\n" in server.log
    assert not [line for line in server.log if "ERROR" in line], server.log


@pytest.mark.anyio
async def test_error_has_the_form_of_its_door() -> None:
    faults = Faults(FaultSettings(fault=(FaultRule("overloaded", ("/v1/chat/*",)),)))
    app = create_app(Settings(), EchoEngine(), faults=faults)
    transport = httpx2.ASGITransport(app)
    chat = {"model": "m", "messages": [{"role": "user", "content": "one"}]}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://localhost", headers=HEADERS
    ) as client:
        refused = await client.post("/v1/chat/completions", json=chat)
        answered = await client.post("/v1/messages", json=chat | {"max_tokens": 5})
    assert refused.status_code == 503
    assert "param" in refused.json()["error"]
    assert answered.status_code == 200


@given(st.integers(0, 5), st.integers(1, 4), st.none() | st.integers(1, 5))
def test_after_every_and_times_choose_requests(after: int, every: int, times: int | None) -> None:
    rule = FaultRule("overloaded", after=after, every=every, times=times)
    faults = Faults(FaultSettings(fault=(rule,)))
    hit = [number for number in range(20) if faults.draw("/v1/complete")]
    assert hit == list(range(after, 20, every))[:times]


def test_share_is_drawn_by_the_seed() -> None:
    def hits(seed: int) -> list[bool]:
        rule = FaultRule("overloaded", share=0.25)
        faults = Faults(FaultSettings(seed, (rule,)))
        return [bool(faults.draw("/v1/complete")) for _ in range(400)]

    assert hits(1) == hits(1) != hits(2)
    assert 60 < sum(hits(1)) < 140


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no section [[fault]]"),
        ("fault = 1", "write a section [[fault]] for each rule"),
        ('[[fault]]\nkind = "slow"', "kind"),
        ("[[fault]]\ntimes = 1", "kind"),
        ('[[fault]]\nkind = "delay"\nsecond = 1', "[fault] has no key `second`"),
        ('[[fault]]\nkind = "delay"\nshare = 0', "share"),
        ('seed = -1\n[[fault]]\nkind = "delay"', "seed"),
    ],
)
def test_invalid_file_is_one_line_and_ends_with_2(
    text: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TENUTO_ENGINE_NAME", "echo")
    path = tmp_path / "faults.toml"
    path.write_text(text)
    assert main(["serve", "--port", "0", "--faults", str(path)]) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"tenuto: {path}: ")
    assert message in error
    assert error.count("\n") == 1


def test_several_workers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENUTO_ENGINE_NAME", "echo")
    path = tmp_path / "faults.toml"
    path.write_text(RULES)
    options: list[Any] = ["serve", "--port", "0", "--workers", "2", "--faults", str(path)]
    assert main(options) == 2
    error = "--faults: the rules count in one process; use --workers 1, not 2"
    assert capfd.readouterr().err == f"tenuto: {error}\n"


def two_recordings(path: Path) -> None:
    """Write a cassette with two recordings of the same request."""
    lines = [
        {
            "v": 1,
            "at": f"2026-11-27T10:00:0{number}Z",
            "request": dict(BODY),
            "pieces": [[0, ""], *([0, f" {word}"] for word in (name, "x", "y"))],
            "finish": {"stop_reason": "max_tokens", "stop": None},
        }
        for number, name in enumerate(("first", "second"))
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        'kind = "rate_limited"',
        'kind = "overloaded"',
        'kind = "garbage"',
        'kind = "garbage"\nevents = 2',
    ],
)
@pytest.mark.anyio
async def test_retry_gets_the_recording_that_a_fault_has_spoiled(
    tmp_path: Path, fault: str, stream: bool, keyed: bool
) -> None:
    tape = tmp_path / "a.jsonl"
    two_recordings(tape)
    rules = tmp_path / "faults.toml"
    rules.write_text(f"[[fault]]\ntimes = 1\n{fault}\n")
    index = Index(tape, scrubber_of(()))
    replay = ReplayEngine(index)
    app = create_app(Settings(), replay, faults=Faults(load_faults(rules)))
    headers = HEADERS | ({"idempotency-key": "k"} if keyed else {})
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:

        async def sent(headers: dict[str, str]) -> httpx2.Response:
            body = {**BODY, "stream": stream}
            return await client.post("/v1/complete", json=body, headers=headers)

        with closing(index):
            await sent(headers)
            retried = await sent(headers)
            assert " first" in retried.text
            assert "second" not in retried.text
            assert replay.counts.replayed == 1
            # No recording is lost, and none is replayed twice.
            assert "second" in (await sent(HEADERS)).text
            assert index.left == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("events", [0, 1, 3, 4])
@pytest.mark.anyio
async def test_answer_that_a_fault_has_spoiled_is_not_recorded(
    tmp_path: Path, events: int, stream: bool
) -> None:
    rules = tmp_path / "faults.toml"
    rules.write_text(f'[[fault]]\nkind = "garbage"\ntimes = 1\nafter = 1\nevents = {events}\n')
    recorded, recorder = recorded_by(EchoEngine(), tmp_path / "a.jsonl")
    app = create_app(Settings(), recorded, faults=Faults(load_faults(rules)))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for text in ("before", "spoiled x", "spoiled x", "after"):
            prompt = f"\n\nHuman: {text}\n\nAssistant:"
            body = {**BODY, "prompt": prompt, "stream": stream, "max_tokens_to_sample": 9}
            await client.post("/v1/complete", json=body, headers=HEADERS)
    recorder.close()

    prompts = [line["request"]["prompt"].split()[1] for line in lines_of(tmp_path / "a.jsonl")]
    # A stream of two words has three events.
    is_whole = stream and events > 3
    assert prompts == ["before", "spoiled", *(["spoiled"] if is_whole else []), "after"]
    assert recorder.written == len(prompts)


@pytest.mark.anyio
async def test_kept_response_that_its_repetition_gets_stays_recorded(tmp_path: Path) -> None:
    rules = tmp_path / "faults.toml"
    rules.write_text('[[fault]]\nkind = "garbage"\ntimes = 1\n')
    recorded, recorder = recorded_by(EchoEngine(), tmp_path / "a.jsonl")
    app = create_app(Settings(), recorded, faults=Faults(load_faults(rules)))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        headers = HEADERS | {"idempotency-key": "k"}
        await client.post("/v1/complete", json=dict(BODY), headers=headers)
        response = await client.post("/v1/complete", json=dict(BODY), headers=headers)
    recorder.close()

    assert response.json()["type"] == "completion"
    assert len(lines_of(tmp_path / "a.jsonl")) == 1


def test_retry_after_a_cut_gets_the_same_recording(tmp_path: Path) -> None:
    rules, tape = tmp_path / "faults.toml", tmp_path / "a.jsonl"
    two_recordings(tape)
    # Before the response, amid the body, after the first text, and after the last one, whose
    # engine has ended.
    rules.write_text(
        "".join(
            f'[[fault]]\nkind = "disconnect"\ntimes = 1\nevents = {events}\n'
            for events in (0, 1, 1, 3)
        )
    )
    with running_server("--replay", str(tape), "--faults", str(rules)) as server:
        for _ in range(2):
            with pytest.raises(httpx2.RemoteProtocolError):
                post(server)
        for count in (1, 3):
            assert streamed_until_cut(server).count("event: completion") == count
        # With a key, whose kept response would be the answer to its repetition.
        assert post(server, key="k").json()["completion"] == " first x y"
        assert post(server, key="k").json()["completion"] == " first x y"
        assert post(server).json()["completion"] == " second x y"
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == 0
    assert "Replayed completions: 2, unused recordings: 0, misses: 0.\n" in server.log


def test_stream_that_was_cut_is_replayed_to_the_retry(tmp_path: Path) -> None:
    rules, tape = tmp_path / "faults.toml", tmp_path / "a.jsonl"
    rules.write_text('[[fault]]\nkind = "disconnect"\nevents = 2\ntimes = 1\n')
    request = {name: BODY[name] for name in BODY}
    pieces = [[0, ""], *([20 * number, " x"] for number in range(1, 6))]
    line = {
        "v": 1,
        "request": request,
        "pieces": pieces,
        "finish": {"stop_reason": "max_tokens", "stop": None},
    }
    tape.write_text(json.dumps(line))
    arguments = ("--replay", str(tape), "--replay-speed", "1", "--faults", str(rules))
    with running_server(*arguments) as server:
        assert streamed_until_cut(server).count("event: completion") == 2
        server.wait_until_idle(10)
        assert post(server).json()["completion"] == " x x x x x"
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == 0
