"""The start and end of an embedded engine: forks, threads, the collector, closing early."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import tenuto
from tenuto import Client
from tenuto.engine import echo
from tenuto.engine.base import Engine
from tenuto.engine.registry import runtime_libraries
from tests.client.libraries import ASK

HELLO: dict[str, Any] = ASK | {"prompt": "\n\nHuman: one two three\n\nAssistant:"}
SHORT: dict[str, Any] = HELLO | {"max_tokens_to_sample": 1}
SOON_S = 5.0


def in_a_child(work: Any, within_s: float = 30.0) -> int:
    """Fork, run something in the child, and return its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise AssertionError("the child hangs")


@pytest.mark.parametrize("engine", ["echo", "local"])
def test_forked_process_starts_its_own_engine(engine: str) -> None:
    def ask() -> None:
        with client:
            assert client.completions.create(**HELLO, timeout=20).completion

    with Client(engine=engine) as client:
        client.completions.create(**HELLO)
        assert in_a_child(ask) == 0
        assert client.completions.create(**HELLO).completion


def test_a_forked_process_may_use_multiprocessing() -> None:
    with Client(engine="echo") as client:
        client.completions.create(**HELLO)
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        child = context.Process(
            target=lambda: queue.put(client.completions.create(**HELLO, timeout=20).completion)
        )
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert queue.get() == " one two three"


def test_a_stream_of_the_parent_is_an_error_in_a_forked_process(endless_model: Path) -> None:
    def read() -> None:
        with pytest.raises(tenuto.APIConnectionError, match="belongs to the process"):
            list(stream)

    with Client(engine=f"local:{endless_model}") as client:
        fields: dict[str, Any] = HELLO | {"max_tokens_to_sample": 2000, "stream": True}
        stream = client.completions.create(**fields)
        next(stream)
        assert in_a_child(read) == 0
        assert next(stream).completion is not None
        stream.close()


FORKING = """
import os, sys
from tenuto import Client
ask = dict(model="m", prompt="\\n\\nHuman: Hello\\n\\nAssistant:", max_tokens_to_sample=5)
client = Client(engine="local")
client.completions.create(**ask)
pid = os.fork()
if pid == 0:
    sys.exit(0)  # With atexit and all destructors, and without using the client.
assert os.waitpid(pid, 0)[1] == 0
print(bool(client.completions.create(**ask, timeout=20).completion))
"""


def test_exit_of_a_forked_process_keeps_the_parents_engine() -> None:
    # Python 3.12 and later warn about every fork of a process with threads.
    warnings = ["-W", "default", "-W", "ignore:This process:DeprecationWarning"]
    command = [sys.executable, *warnings, "-c", FORKING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def engine_thread() -> threading.Thread | None:
    found = [each for each in threading.enumerate() if each.name == "tenuto-engine"]
    return found[0] if found else None


def test_engine_may_be_collected_on_its_own_thread() -> None:
    client = Client(engine="echo")
    client.completions.create(**HELLO)
    thread = engine_thread()
    running = client._pool.get()._transport._server._running  # type: ignore[attr-defined]
    assert thread is not None
    # As when the collector runs in the middle of the engine's own work.
    running.call(running.stop)
    thread.join(SOON_S)
    assert not thread.is_alive()


class SlowEngine(echo.EchoEngine):
    """An engine whose model takes an hour to load."""

    def __init__(self, loading: threading.Event) -> None:
        super().__init__()
        self._loading = loading

    async def ready(self) -> str:
        import asyncio

        self._loading.set()
        await asyncio.sleep(3600)
        return "slow"


def test_close_does_not_wait_for_a_load(monkeypatch: pytest.MonkeyPatch) -> None:
    loading = threading.Event()

    def make(*_: object) -> Engine:
        return SlowEngine(loading)

    monkeypatch.setattr("tenuto.client.embedded.server.open_engine", make)
    client = Client(engine="echo")
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            client.completions.create(**HELLO)
        except tenuto.APIConnectionError as error:
            errors.append(error)

    request_thread = threading.Thread(target=ask, daemon=True)
    request_thread.start()
    assert loading.wait(SOON_S)
    closing = threading.Thread(target=client.close, daemon=True)
    closing.start()
    closing.join(SOON_S)
    assert not closing.is_alive()
    request_thread.join(SOON_S)
    assert "was closed with its client" in str(errors[0])


def ask_into(client: Client, errors: list[BaseException]) -> None:
    try:
        client.completions.create(**HELLO)
    except Exception as error:
        errors.append(error)


def test_start_and_close_may_race() -> None:
    for _ in range(30):
        client = Client(engine="echo", max_retries=0)
        errors: list[BaseException] = []
        request_thread = threading.Thread(target=ask_into, args=(client, errors))
        request_thread.start()
        client.close()
        request_thread.join(SOON_S)
        assert not request_thread.is_alive()
        assert all("closed" in str(error) for error in errors)


def test_exception_of_the_application_is_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        async def app(*_: object) -> None:
            raise KeyError("a part of the prompt")

        return app

    monkeypatch.setattr("tenuto.server.app.create_app", broken)
    with Client(engine="echo") as client:
        with pytest.raises(tenuto.APIConnectionError, match="raised KeyError") as caught:
            client.completions.create(**HELLO)
    assert "part of the prompt" not in str(caught.value)
    assert isinstance(caught.value.__cause__, Exception)
    assert isinstance(caught.value.__cause__.__cause__, KeyError)


def test_a_missing_library_is_an_error_at_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    runtimes = runtime_libraries().values()
    monkeypatch.setattr(
        "tenuto.core.extras.find_spec", lambda name: None if name in runtimes else find_spec(name)
    )
    with pytest.raises(ImportError, match=r"not installed .* pip install"):
        Client(engine="local")
    with Client(engine="echo") as client:
        assert client.completions.create(**HELLO).completion


def test_settings_file_sets_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tenuto.toml").write_text(
        '[engine.local]\nmodel = "nosuch.gguf"\n[api]\nextensions = true\n'
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"nosuch\.gguf"):
        Client(engine="local")
    with Client(engine="echo") as client:
        answered: Any = client.completions.create(**HELLO, extra_body={"echo": True})
        assert answered.completion.startswith("\n\nHuman:")
    monkeypatch.setenv("TENUTO_ENGINE_LOCAL_MODEL", "other.gguf")
    with pytest.raises(ValueError, match=r"other\.gguf"):
        Client(engine="local")
    with pytest.raises(ValueError, match=r"third\.gguf"):
        Client(engine="local:third.gguf")


def test_downloaded_model_is_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endless_model: Path
) -> None:
    place = tmp_path / "models" / "acme" / "x" / "x-Q8_0.gguf"
    place.parent.mkdir(parents=True)
    place.symlink_to(endless_model)
    monkeypatch.setenv("TENUTO_MODELS_FOLDER", str(tmp_path / "models"))
    for name in ("acme/x", "hf:acme/x", "acme/x:Q8_0"):
        with Client(engine=f"local:{name}") as client:
            assert client.completions.create(**SHORT).completion
    with pytest.raises(ValueError, match=r"acme/y: there is no such file.*`tenuto models`"):
        Client(engine="local:acme/y")


def test_collected_engines_end() -> None:
    client = Client(engine="echo")
    client.completions.create(**HELLO)
    del client
    gc.collect()
    assert engine_thread() is None
