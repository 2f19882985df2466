"""`tenuto serve` as an operator runs it: its log, and its end, in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.conftest import PATIENCE_S, RunningServer, running_server
from tests.server.test_endpoint import BODY, HEADERS
from tests.server.test_listen import needs_ipv6

ECHO = '[engine]\nname = "echo"\n'


def config(folder: Path, text: str) -> str:
    file = folder / "tenuto.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_log_has_the_requests_and_the_shutdown(tmp_path: Path) -> None:
    with running_server("--config", config(tmp_path, ECHO)) as server:
        answer = httpx2.post(server.url + "/v1/complete", json=BODY, headers=HEADERS)
        missing = httpx2.get(server.url + "/v1/messages")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
    log = [line.rstrip("\n") for line in server.log]
    for response in (answer, missing):
        (line,) = [line for line in log if f"request_id={response.headers['request-id']} " in line]
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO tenuto\.request: ", line)
        assert f" status={response.status_code} " in line
    assert log[-1] == "Stopped."


@needs_ipv6
def test_printed_address_accepts_requests(tmp_path: Path) -> None:
    with running_server("--config", config(tmp_path, ECHO), "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert server.get("/health") == {"status": "alive"}


def until_logged(server: RunningServer, text: str) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        for line in list(server.log):
            if text in line:
                return line
        assert time.monotonic() < deadline, server.log
        time.sleep(0.02)


def test_sighup_reloads_the_file_and_the_options_stay(tmp_path: Path) -> None:
    file = config(tmp_path, ECHO)
    with running_server("--config", file, "--grace", "7") as server:
        config(tmp_path, ECHO + '[server]\nshutdown_grace_s = 3\n[log]\nformat = "json"\n')
        server.process.send_signal(signal.SIGHUP)
        line = until_logged(server, "were reloaded; changed: [log] format")
        assert json.loads(line)["level"] == "INFO"
        config(tmp_path, "[log]\nformat = 3\n")
        server.process.send_signal(signal.SIGHUP)
        until_logged(server, "could not be reloaded and remain as they were: ")
        Path(file).unlink()
        server.process.send_signal(signal.SIGHUP)
        until_logged(server, f"{file}: No such file or directory")
        assert server.get("/health") == {"status": "alive"}


def test_reload_without_keys_never_opens_the_server(tmp_path: Path) -> None:
    key = 'api_keys = ["sha256:' + "0" * 64 + '"]'
    file = config(tmp_path, f"[server]\n{key}\n" + ECHO)
    with running_server("--config", file, "--host", "0.0.0.0") as server:
        config(tmp_path, ECHO)
        server.process.send_signal(signal.SIGHUP)
        until_logged(server, "were reloaded; changed: [server] api_keys")
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx2.post(url + "/v1/complete", json=BODY, headers=HEADERS).status_code == 401


def test_server_under_nohup_reloads(tmp_path: Path) -> None:
    arguments = ["-m", "tenuto", "serve", "--port", "0", "--config", config(tmp_path, ECHO)]
    with subprocess.Popen(
        [sys.executable, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Ready: " in line:
                process.send_signal(signal.SIGHUP)
            if "were reloaded" in line:
                break
        else:
            raise AssertionError("the server ended")
        process.kill()


def test_closed_terminal_stops_the_server(tmp_path: Path) -> None:
    arguments = ["-m", "tenuto", "serve", "--port", "0", "--config", config(tmp_path, ECHO)]
    terminal, side = pty.openpty()
    with subprocess.Popen(
        [sys.executable, *arguments], pass_fds=[side], preexec_fn=lambda: os.login_tty(side)
    ) as process:
        os.close(side)
        try:
            text = b""
            while b"Ready: " not in text:
                text += os.read(terminal, 65536)
            os.close(terminal)  # The kernel sends SIGHUP.
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


class Notified:
    """The notifications of a service, by `NOTIFY_SOCKET`."""

    def __init__(self, folder: Path) -> None:
        self.address: str = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(PATIENCE_S)

    def until(self, assignment: str) -> list[str]:
        """Return the lines of the next datagram with an assignment."""
        while True:
            lines = self._socket.recv(4096).decode().splitlines()
            if assignment in lines:
                return lines

    def close(self) -> None:
        self._socket.close()


def test_service_with_a_socket_unit_survives_reloads_and_restarts(tmp_path: Path) -> None:
    file = config(tmp_path, ECHO)
    systemd = Notified(tmp_path)
    command = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -m tenuto serve --config "$1"'
    environment = os.environ | {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "200000"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for _ in range(2):
            with subprocess.Popen(
                ["sh", "-c", command, sys.executable, file],
                pass_fds=[3],
                preexec_fn=lambda: os.dup2(listener.fileno(), 3) and None,
                env=environment,
            ) as process:
                try:
                    assert "STATUS=Answers with echo." in systemd.until("READY=1")
                    systemd.until("WATCHDOG=1")
                    assert httpx2.get(f"{url}/health").status_code == 200
                    process.send_signal(signal.SIGHUP)
                    begun = systemd.until("RELOADING=1")
                    assert any(line.startswith("MONOTONIC_USEC=") for line in begun)
                    assert "STATUS=the settings were reloaded" in systemd.until("READY=1")
                    process.terminate()
                    stopping = systemd.until("STOPPING=1")
                    assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in stopping)
                    assert process.wait(PATIENCE_S) == 0
                finally:
                    process.kill()
    systemd.close()


def test_public_socket_unit_without_keys_is_refused(tmp_path: Path) -> None:
    command = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -m tenuto serve --config "$1"'
    with socket.create_server(("0.0.0.0", 0)) as listener:
        done = subprocess.run(
            ["sh", "-c", command, sys.executable, config(tmp_path, ECHO)],
            pass_fds=[3],
            preexec_fn=lambda: os.dup2(listener.fileno(), 3) and None,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert done.returncode == 2
    assert "0.0.0.0 can be reached from other machines" in done.stderr


@contextmanager
def started(folder: Path, stderr: int | None) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a server on a port that is known without its log."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    arguments = ["-m", "tenuto", "serve", "--port", str(port), "--config", config(folder, ECHO)]
    with subprocess.Popen(
        [sys.executable, *arguments],
        stderr=stderr,
        preexec_fn=None if stderr is not None else lambda: os.close(2),
    ) as process:
        try:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def test_full_log_pipe_blocks_no_request(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with started(tmp_path, writer) as (process, url):
        os.close(writer)
        # More than 150 bytes a line: more than the pipe holds.
        with httpx2.Client(base_url=url, headers=HEADERS, timeout=20) as client:
            for _ in range(600):
                assert client.post("/v1/complete", json=BODY).status_code == 200
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    os.close(reader)


@pytest.mark.parametrize("closed", ["at the start", "later"])
def test_closed_log_does_not_stop_the_server(tmp_path: Path, closed: str) -> None:
    reader, writer = os.pipe()
    with started(tmp_path, writer if closed == "later" else None) as (process, url):
        os.close(writer)
        os.close(reader)
        for _ in range(3):
            answer = httpx2.post(url + "/v1/complete", json=BODY, headers=HEADERS)
            assert answer.status_code == 200
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


class Upstream:
    """An engine that starts a completion and never ends it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def answer(self, data: bytes) -> socket.socket:
        connection, _ = self._listener.accept()
        connection.recv(65536)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        connection.sendall(head + data)
        return connection

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("stream", [True, False])
def test_shutdown_ends_upstream_responses_with_an_error(tmp_path: Path, stream: bool) -> None:
    upstream = Upstream()
    settings = (
        f'[engine]\nname = "routes"\n[engine.upstreams.a]\nkind = "openai"\n'
        f'base_url = "{upstream.url}"\n[server]\nshutdown_grace_s = 0.2\n'
    )
    with running_server("--config", config(tmp_path, settings)) as server:
        host, port = server.url.removeprefix("http://").split(":")
        body = httpx2.Request("POST", server.url, json=BODY | {"stream": stream}).content
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as caller:
            head = (
                f"POST /v1/complete HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n"
                "anthropic-version: 2023-06-01\r\n\r\n"
            )
            caller.sendall(head.encode() + body)
            chunk = b'data: {"choices":[{"index":0,"text":" Hi","finish_reason":null}]}\n\n'
            connection = upstream.answer(chunk)
            received = b""
            while stream and b" Hi" not in received:
                received += caller.recv(65536)
            server.process.send_signal(signal.SIGTERM)
            while data := caller.recv(65536):
                received += data
        connection.close()
        upstream.close()
        assert server.process.wait(PATIENCE_S) == 0
    assert b'"type":"overloaded_error"' in received
    assert received.startswith(b"HTTP/1.1 200 " if stream else b"HTTP/1.1 529 ")
    assert (b"event: error\n" in received) is stream
