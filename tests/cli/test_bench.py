"""`tenuto bench`, as a program."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.cli.main import main
from tests.bench.scripted_server import Script, scripted_server
from tests.client.loopback import answer, serving
from tests.conftest import PATIENCE_S

COMMAND = [sys.executable, "-m", "tenuto", "bench"]


@pytest.fixture
def server() -> Iterator[Script]:
    with scripted_server() as script:
        yield script


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_the_table_has_a_line_for_each_concurrency(server: Script, tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    server.stop_reason = "max_tokens"
    done = bench(
        *("--base-url", server.url, "--concurrency", "1,3", "--requests", "6"),
        *("--max-tokens", "7", "--plot", str(plot)),
    )
    assert (done.returncode, done.stderr) == (0, f"Wrote {plot}.\n")
    lines = done.stdout.splitlines()
    rows = [line.split() for line in lines if line.split() and line.split()[0].isdigit()]
    assert [row[:3] for row in rows] == [["1", "6", "0"], ["3", "6", "0"]]
    assert "Tokens: exact, because every completion stopped at --max-tokens." in lines
    assert len(server.bodies) == 1 + 6 + 6  # The first warms the server up.
    drawn = ElementTree.fromstring(plot.read_text("utf-8"))
    assert drawn.tag.endswith("svg")
    # The picture must make sense on its own.
    title, circumstances = (each.text or "" for each in list(drawn)[1:3])
    assert title == "tenuto bench: distinct prompts, 100 words, 7 tokens"
    assert f"the model of the settings at {server.url}, measured from" in circumstances
    assert re.search(r"processors .*, \d{4}-\d\d-\d\d$", circumstances)


def test_failures_and_inexact_counts_are_reported(
    server: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    server.failures = ["none", 529]
    main(["bench", "--base-url", server.url, "--concurrency", "2", "--requests", "4"])
    out = capsys.readouterr().out
    assert "2 at once: 1 failed: 529 overloaded_error" in out
    assert "exact for 0 of 3 completions" in out


def test_json_report_is_one_object_with_every_figure(
    server: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--concurrency", "2", "--requests", "4", "--json", "--seed", "5")
    main(["bench", "--base-url", server.url, "--prompts", "multi-turn", *options])
    report = json.loads(capsys.readouterr().out)
    (level,) = report["levels"]
    assert (level["concurrency"], level["requests"], level["failed"]) == (2, 4, 0)
    assert level["tokens"] == 12
    assert report["load"]["seed"] == 5
    assert report["load"]["kind"] == "multi-turn"


def stopped_bench(
    server: Script, held_from: int, received: int, *arguments: str
) -> tuple[str, str]:
    """Send Ctrl-C once the server has received this number of requests; return the output."""
    server.held, server.held_from = threading.Event(), held_from
    with subprocess.Popen(
        [*COMMAND, "--base-url", server.url, "--requests", "2", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + PATIENCE_S
        while len(server.bodies) < received:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "Traceback" not in err
    return out, err


def test_ctrl_c_prints_the_measurements_so_far(server: Script) -> None:
    # The warm-up and all of the first concurrency are answered, the second waits.
    out, err = stopped_bench(server, 3, 5, "--concurrency", "1,2")
    assert "these are the figures so far" in err
    (row,) = [line.split() for line in out.splitlines() if line[:8].strip() == "1"]
    assert row[:3] == ["1", "2", "0"]


@pytest.mark.parametrize(("held_from", "received"), [(0, 1), (1, 3)])
def test_ctrl_c_before_the_first_result_prints_a_json_object_without_levels(
    server: Script, held_from: int, received: int
) -> None:
    out, err = stopped_bench(
        *(server, held_from, received, "--concurrency", "2", "--json", "--seed", "5")
    )
    report = json.loads(out)
    assert (report["levels"], report["load"]["seed"]) == ([], 5)
    assert err == "\nStopped.\n"


def test_server_is_started_and_stopped_without_base_url() -> None:
    done = bench("--concurrency", "2", "--requests", "2", "--max-tokens", "4", "--json")
    assert (done.returncode, done.stderr) == (0, "Starting a server.\n")
    (level,) = json.loads(done.stdout)["levels"]
    assert (level["requests"], level["failed"]) == (2, 0)


def test_failed_start_of_the_server_is_reported() -> None:
    done = bench("--model", "nowhere.gguf")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("tenuto: nowhere.gguf: there is no such file")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--concurrency", "1,two"), "--concurrency: '1,two' must be numbers from 1 to 10,000"),
        (("--concurrency", "0"), "from 1 to 10,000"),
        (("--requests", "1", "--duration", "1"), "are mutually exclusive"),
        (("--plot", "plot.png"), "must end in .svg"),
        (("--plot", "/nowhere/plot.svg"), "no such folder"),
        (("--prompts", "odd"), "'odd' is not one of"),
    ],
)
def test_invalid_input_is_a_one_line_error(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def failure_of_bench(url: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error for a server that cannot be measured: one line with the address."""
    assert main(["bench", "--base-url", url]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"tenuto: {url}: the first request failed: ")
    assert printed.err.count("\n") == 1
    assert "Error" not in printed.err
    return printed.err


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_unreachable_server_is_a_one_line_error(capsys: pytest.CaptureFixture[str]) -> None:
    shown = failure_of_bench(f"http://127.0.0.1:{free_port()}", capsys)
    assert "cannot connect: Connection refused" in shown
    assert "is a server running there? `tenuto serve` starts one" in shown


def test_server_without_tls_is_a_one_line_error(
    server: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = failure_of_bench(server.url.replace("http://", "https://"), capsys)
    assert "cannot connect: TLS failed" in shown
    assert "http:// only?" in shown


@pytest.mark.parametrize("content", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_server_without_http_is_a_one_line_error(
    content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(lambda _, send: send(content)) as other:
        assert "the connection broke" in failure_of_bench(other.url, capsys)


def test_missing_key_is_a_one_line_error(
    server: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    server.failures = [401]
    assert "set TENUTO_API_KEY" in failure_of_bench(server.url, capsys)


@pytest.mark.parametrize(
    ("variables", "sent"),
    [
        ({"TENUTO_API_KEY": "sk-ours"}, b"x-api-key: sk-ours"),
        ({"TENUTO_AUTH_TOKEN": "token"}, b"authorization: Bearer token"),
        ({"TENUTO_CUSTOM_HEADERS": "x-tenant: one"}, b"x-tenant: one"),
        # These are for Anthropic's address, or the one that is named beside them.
        ({"ANTHROPIC_API_KEY": "sk-theirs"}, None),
        ({"ANTHROPIC_AUTH_TOKEN": "sk-theirs"}, None),
        (
            {"ANTHROPIC_API_KEY": "sk-theirs", "ANTHROPIC_BASE_URL": "http://other.test"},
            None,
        ),
        ({"ANTHROPIC_API_KEY": "sk-theirs", "ANTHROPIC_BASE_URL": "HERE"}, b"x-api-key: sk-theirs"),
        ({}, None),
    ],
)
def test_credentials_are_sent_to_their_own_service_only(
    variables: dict[str, str],
    sent: bytes | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(lambda _, send: send(answer("400 Bad Request"))) as other:
        for name, value in variables.items():
            monkeypatch.setenv(name, value.replace("HERE", other.url))
        failure_of_bench(other.url, capsys)
        (request,) = other.requests
    assert (sent or b"\r\n") in request
    if sent is None:
        assert b"sk-" not in request
        assert b"authorization" not in request.lower()


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect"])
def test_credentials_are_not_sent_to_a_redirect(
    status: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENUTO_API_KEY", "sk-ours")
    with serving(lambda _, send: send(answer("200 OK"))) as other:
        with serving(lambda _, send: send(answer(status, location=other.url))) as first:
            assert status[:3] in failure_of_bench(first.url, capsys)
            assert len(first.requests) == 1
        assert other.requests == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "127.0.0.1:8000",
            "base_url must begin with http:// or https:// and name a host: http://127.0.0.1:8000",
        ),
        ("http://", "base_url must begin with http:// or https://"),
        ("http://[", "base_url must begin with"),
        ("http://127.0.0.1:x", "base_url is not a valid URL"),
    ],
)
def test_invalid_base_url_is_a_one_line_error(
    url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--base-url", url]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_error_of_an_invalid_key_does_not_show_the_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENUTO_API_KEY", "sk-secret…")
    assert main(["bench", "--base-url", "http://127.0.0.1:1"]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "TENUTO_API_KEY" in shown
    assert "secret" not in shown


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1"])
def test_local_server_is_contacted_without_a_proxy(
    server: Script, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert main(["bench", "--base-url", server.url, "--concurrency", "1", "--requests", "1"]) == 0


def test_unusable_proxy_is_a_one_line_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    assert main(["bench", "--base-url", "http://server.invalid"]) == 1
    shown = capsys.readouterr().err
    assert "ALL_PROXY" in shown
    assert shown.count("\n") == 1
