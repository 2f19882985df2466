"""A real nginx with the project's file before a real server."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.test_bench import free_port
from tests.conftest import PATIENCE_S, RunningServer, running_server
from tests.deploy.expressions import DEPLOY
from tests.deploy.programs import nginx, openssl

PROMPT = "\\n\\nHuman: one two three\\n\\nAssistant:"
HEADERS = {"Content-Type": "application/json", "anthropic-version": "2023-06-01"}
SPOOFED = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    settings = tmp_path_factory.mktemp("nginx") / "tenuto.toml"
    settings.write_text(
        '[server]\ntrusted_proxies = ["127.0.0.1"]\n[engine]\nname = "echo"\n'
        '[store]\nurl = "sqlite:///store.db"\n'
    )
    with running_server("--config", str(settings)) as started:
        yield started


@contextmanager
def proxy(folder: Path, target: str) -> Iterator[int]:
    """Run nginx before a server, and yield its port."""
    port = free_port()
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    command = [openssl(), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    upstream = (DEPLOY / "nginx" / "local.conf").read_text()
    (folder / "upstream.conf").write_text(upstream.replace("127.0.0.1:8000", target))
    text = (DEPLOY / "nginx" / "tenuto.conf").read_text()
    text = text.replace("/etc/nginx/tls", str(folder)).replace("listen 8443", f"listen {port}")
    text = text.replace("/etc/nginx/tenuto", str(folder))
    whole = f"daemon off; pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off;"
    (folder / "nginx.conf").write_text(f"{whole} {text} }}")
    program = [nginx(), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with (folder / "log").open("w") as log, subprocess.Popen(program, stderr=log) as process:
        try:
            _wait(process, port, folder / "log")
            yield port
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def connect(
    server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[http.client.HTTPSConnection]:
    folder = tmp_path_factory.mktemp("proxy")
    folder.chmod(0o755)
    with proxy(folder, server.url.removeprefix("http://")) as port:
        context = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
        connection = http.client.HTTPSConnection("localhost", port, context=context)
        yield connection
        connection.close()


def complete(
    connection: http.client.HTTPSConnection, body: str, **headers: str
) -> http.client.HTTPResponse:
    connection.request("POST", "/v1/complete", body, {**HEADERS, **headers})
    return connection.getresponse()


def test_callers_address_cannot_be_claimed(
    server: RunningServer, connect: http.client.HTTPSConnection
) -> None:
    body = f'{{"model": "any", "prompt": "{PROMPT}", "max_tokens_to_sample": 9}}'
    response = complete(connect, body, **SPOOFED)
    assert response.status == 200, response.read()
    assert b"one two three" in response.read()
    request_id = response.headers["request-id"]
    deadline = time.monotonic() + PATIENCE_S
    while not any(request_id in line for line in server.log):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "address=127.0.0.1 " in next(line for line in server.log if request_id in line)


def test_stream_passes_without_compression(connect: http.client.HTTPSConnection) -> None:
    body = f'{{"model": "any", "prompt": "{PROMPT}", "max_tokens_to_sample": 9, "stream": true}}'
    response = complete(connect, body, **{"Accept-Encoding": "gzip"})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in response.headers
    assert b'"stop_reason":"stop_sequence"' in response.read().replace(b": ", b":")


def test_large_body_passes(connect: http.client.HTTPSConnection) -> None:
    words = "word " * 400_000  # 2 MB: nginx itself refuses more than 1 MB otherwise
    prompt = f"\\n\\nHuman: {words}\\n\\nAssistant:"
    response = complete(
        connect, f'{{"model": "any", "prompt": "{prompt}", "max_tokens_to_sample": 1}}'
    )
    assert (response.status, bool(response.read())) == (200, True)


def test_metrics_are_not_public(
    server: RunningServer, connect: http.client.HTTPSConnection
) -> None:
    connect.request("GET", "/metrics")
    response = connect.getresponse()
    response.read()
    assert response.status == 404
    connect.request("GET", "/health")
    response = connect.getresponse()
    assert (response.status, bool(response.read())) == (200, True)


def test_shipped_files_pass_the_check_of_nginx() -> None:
    nginx()
    openssl()
    output = subprocess.run([DEPLOY / "nginx" / "check.sh"], capture_output=True, text=True)
    assert output.returncode == 0, output.stdout
