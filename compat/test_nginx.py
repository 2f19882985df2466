"""nginx in front, with all that can hold a stream back turned on."""

from __future__ import annotations

import socket
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat import environments, servers
from compat.questions import ASK, ASK_LONG, SOON_S
from compat.raw import Connection
from tests.conftest import PATIENCE_S, RunningServer

ROW = "nginx in front, gzip and buffering on"

# Default timeouts; one door with nginx's default of HTTP/1.0 behind it, one with HTTP/1.1.
CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  gzip on;
  gzip_types *;
  gzip_min_length 1;
  gzip_proxied any;
  proxy_buffering on;
  server {{
    listen 127.0.0.1:{old};
    location / {{ proxy_pass {url}; }}
  }}
  server {{
    listen 127.0.0.1:{new};
    location / {{
      proxy_http_version 1.1;
      proxy_set_header connection "";
      proxy_pass {url};
    }}
  }}
}}
"""

PING_S = 0.5


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def behind(
    tmp_path_factory: pytest.TempPathFactory, endless_model: Path
) -> Iterator[RunningServer]:
    """The upstream of nginx: an endless completion, with frequent pings."""
    settings = f"[server]\nping_interval_s = {PING_S}\n"
    folder = tmp_path_factory.mktemp("behind")
    with servers.configured(folder, settings, "--model", str(endless_model)) as server:
        yield server


@pytest.fixture(scope="module", params=["HTTP/1.0", "HTTP/1.1"])
def front(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    behind: RunningServer,
) -> Iterator[str]:
    """The address of nginx."""
    folder = tmp_path_factory.mktemp("nginx")
    old, new = free_port(), free_port()
    file = folder / "nginx.conf"
    text = CONFIGURATION.format(folder=folder, url=behind.url, old=old, new=new)
    file.write_text(text, encoding="utf-8")
    port = old if request.param == "HTTP/1.0" else new
    with subprocess.Popen(
        [environments.nginx(), "-p", str(folder), "-c", str(file), "-e", f"{folder}/error.log"],
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


def times_of_events(front: str, tokens: int, encoding: str) -> tuple[bytes, list[float]]:
    """A whole stream: its head, and when each event came."""
    connection = Connection(front)
    body = ASK | {"stream": True, "max_tokens_to_sample": tokens}
    connection.ask(body, accept_encoding=encoding, connection="close")
    head, _, data = connection.read_until(b"\r\n\r\n").partition(b"\r\n\r\n")
    unzip = zlib.decompressobj(31) if b"content-encoding: gzip" in head.lower() else None
    chunks = Chunks() if b"transfer-encoding: chunked" in head.lower() else None
    times: list[float] = []
    while True:
        text = chunks.push(data) if chunks else data
        text = unzip.decompress(text) if unzip else text
        times += [time.monotonic()] * text.count(b"data: ")
        data = connection.receive()
        if not data:
            break
    connection.close()
    return head.lower(), times


class Chunks:
    """Decode the chunks of HTTP/1.1 as they arrive."""

    def __init__(self) -> None:
        self._held = b""

    def push(self, data: bytes) -> bytes:
        self._held += data
        text = b""
        while b"\r\n" in self._held:
            size, _, rest = self._held.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                break
            text += rest[:length]
            self._held = rest[length + 2 :]
        return text


@pytest.mark.feature("stream")
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_proxy_forwards_tokens_one_by_one(front: str, encoding: str) -> None:
    head, times = times_of_events(front, 400, encoding)
    assert b"content-type: text/event-stream" in head
    assert len(times) > 100
    # A stream that was gathered would come all at once, after the last token was written.
    moments = len({round(moment, 3) for moment in times})
    assert moments > 40, (moments, times[-1] - times[0])


@pytest.mark.feature("stream")
def test_pings_keep_a_silent_stream_open(front: str, behind: RunningServer) -> None:
    connection = Connection(front)
    connection.ask(ASK_LONG | {"stream": True})
    connection.read_until(b"event: completion")
    with servers.silent(behind):
        started = time.monotonic()
        before = connection.read_until(b"event: ping").count(b"event: ping")
        for n in range(1, 7):
            connection.read_until(b"event: ping", times=before + n)
        silence = time.monotonic() - started
    assert 5 * PING_S < silence < 6 * PING_S + 5
    after = connection.read_until(b"event: ping").count(b"event: completion")
    connection.read_until(b"event: completion", times=after + 5)
    connection.close()
    behind.wait_until_idle(SOON_S)


@pytest.mark.feature("leaving")
@pytest.mark.parametrize("stream", [True, False])
def test_disconnect_from_the_proxy_frees_the_slot(
    front: str, behind: RunningServer, stream: bool
) -> None:
    connection = Connection(front)
    connection.ask(ASK_LONG | {"stream": stream})
    servers.wait_until_running(behind)
    connection.close()
    behind.wait_until_idle(SOON_S)


@pytest.mark.feature("errors")
def test_error_is_forwarded_unchanged(front: str) -> None:
    connection = Connection(front)
    connection.ask(ASK | {"temperature": 2}, connection="close")
    answer = connection.read_until(b"request_id")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"temperature: Input should be less than or equal to 1" in answer
    connection.close()
