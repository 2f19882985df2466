"""`tenuto health`."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tenuto.cli.main import main
from tests.conftest import RunningServer, running_server


def test_living_server_is_healthy_while_its_model_is_loading(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running_server(wait=False) as server:
        assert main(["health", server.url]) == 0
        assert capsys.readouterr().out == f"{server.url} is alive.\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_address_of_the_settings_is_the_default(
    host: str, server: RunningServer, tmp_path: Path
) -> None:
    port = server.url.rpartition(":")[2]
    (tmp_path / "a.toml").write_text(f'[server]\nhost = "{host}"\nport = {port}\n')
    assert main(["health", "--config", str(tmp_path / "a.toml")]) == 0


def test_closed_port_is_unhealthy(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    assert main(["health", url]) == 1
    assert capsys.readouterr().err == f"tenuto: {url} does not answer: Connection refused\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n", "answers GET /health with status 503"),
        (b"nonsense\r\n\r\n", "does not answer"),
        (b"", "does not answer"),
        (None, "does not answer: timed out"),
    ],
)
def test_other_answers_are_unhealthy(
    answer: bytes | None, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def respond() -> None:
            connection, _ = listener.accept()
            connection.recv(4096)
            held.append(connection)
            if answer is not None:
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=respond)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert main(["health", url, "--timeout", "0.5"]) == 1
        thread.join()
        held[0].close()
    assert f"tenuto: {url} {reason}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://a", "http://", "http://a:x", "http://a:0"]
)
def test_invalid_url_is_refused(url: str) -> None:
    assert main(["health", url]) == 2
