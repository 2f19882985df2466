"""Start the compared servers, each in its own process, and end them."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.engine.streams import Server
from tenuto.engine.local.choose import AUTO
from tenuto.engine.local.description import describe
from tenuto.engine.local.runtimes import runtimes

_LOAD_S: Final = 600.0
_FOLDER: Final = Path(__file__).parent

TENUTO: Final = "Tenuto"
PEER: Final = "llama.cpp (xllamacpp)"
# Programs of bare loops, by the name of the runtime.
_BARE: Final = {"openvino": "bare_openvino.py", "llamacpp": "bare_llamacpp.py"}

# Of llama.cpp: a slot for each stream, and room in each for the longest prompt.
SLOTS: Final = 32
SLOT_TOKENS: Final = 1280


@contextmanager
def tenuto(
    model: Path, threads: int, runtime: str = AUTO, context: int | None = None
) -> Iterator[Server]:
    """`tenuto serve`, with its defaults but for threads, runtime and context."""
    port = _free_port()
    command = [sys.executable, "-m", "tenuto", "serve", "--port", str(port), "--model", str(model)]
    environment = {"TENUTO_ENGINE_LOCAL_THREADS": str(threads)}
    environment["TENUTO_ENGINE_LOCAL_RUNTIME"] = runtime
    if context is not None:
        environment["TENUTO_ENGINE_LOCAL_CONTEXT"] = str(context)
    name = TENUTO if runtime == AUTO else f"{TENUTO}, {runtime}"
    with _running(command, f"http://127.0.0.1:{port}", "/ready", environment) as url:
        yield Server(name, url, tenuto=True, runtime=chosen(model, runtime))


@contextmanager
def xllamacpp(model: Path, threads: int) -> Iterator[Server]:
    """llama.cpp's server core from the xllamacpp wheel, through its own HTTP port."""
    port = _free_port()
    sizes = [str(threads), str(SLOTS), str(SLOTS * SLOT_TOKENS)]
    command = [sys.executable, str(_FOLDER / "xllamacpp_server.py"), str(model), str(port), *sizes]
    with _running(command, f"http://127.0.0.1:{port}", "/health") as url:
        yield Server(PEER, url, tenuto=False)


@contextmanager
def llama_server(program: str, model: Path, threads: int) -> Iterator[Server]:
    """A llama-server that was compiled for this machine."""
    port = _free_port()
    command = [program, "--model", str(model), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--threads", str(threads), "--threads-batch", str(threads), "--no-webui"]
    command += ["--parallel", str(SLOTS), "--ctx-size", str(SLOTS * SLOT_TOKENS), "--no-kv-unified"]
    with _running(command, f"http://127.0.0.1:{port}", "/health") as url:
        yield Server("llama-server, compiled here", url, tenuto=False)


@contextmanager
def llama_cpp_python(python: str, model: Path, threads: int) -> Iterator[Server]:
    """llama-cpp-python, in a Python that has it. It answers one request after another."""
    port = _free_port()
    script = _FOLDER / "llama_cpp_python_server.py"
    command = [python, str(script), str(model), str(port), str(threads)]
    with _running(command, f"http://127.0.0.1:{port}", "/health") as url:
        yield Server("llama-cpp-python", url, tenuto=False, serial=True)


class BareLoop:
    """A step loop over the library of a runtime, in a process of its own; made by `bare_loop`."""

    def __init__(self, runtime: str, process: subprocess.Popen[str]) -> None:
        self.name = bare_name(runtime)
        self._process = process

    def rate(self, streams: int, prompt_tokens: int, completion_tokens: int) -> float:
        """Return tokens a second of `streams` completions, prefill included.

        Raises:
            RuntimeError: The loop died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        seed = secrets.randbits(31)
        print(streams, prompt_tokens, completion_tokens, seed, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the bare loop died")
        return float(line)


def chosen(model: Path, runtime: str) -> str:
    """Return the runtime that the setting `runtime` means for a model; "" if none reads it."""
    if runtime != AUTO:
        return runtime
    title = describe(model).runtime
    return next((name for name, kind in runtimes().items() if kind.title.lower() == title), "")


def bare_name(runtime: str) -> str:
    """Return the name of the bare loop of a runtime's library."""
    return f"bare loop, {runtime}"


@contextmanager
def bare_loop(runtime: str, model: Path, threads: int, texts: int) -> Iterator[BareLoop]:
    """Load the model into the library of a runtime alone; prompts are of tokens below `texts`."""
    command = [sys.executable, str(_FOLDER / _BARE[runtime]), str(model), str(threads), str(texts)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield BareLoop(runtime, process)
        finally:
            process.kill()


@contextmanager
def _running(
    command: Sequence[str], url: str, ready: str, environment: dict[str, str] | None = None
) -> Iterator[str]:
    """A server's process, once it answers that its model is loaded."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | (environment or {}),
        )
        try:
            _wait(process, url + ready)
            yield url
        except Exception:
            log.seek(0)
            sys.stderr.write("".join(log.readlines()[-20:]))
            raise
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _LOAD_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"the server for {url} did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
