"""`tenuto complete`, as a program: what it prints, and with which code it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tenuto.cli.main import main
from tenuto.engine.local.model_file import built_in_model
from tests.bench.scripted_server import scripted_server
from tests.conftest import PATIENCE_S, RunningServer, running_server

Here: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]

COMMAND = [sys.executable, "-m", "tenuto", "complete"]


def complete(*arguments: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        input=typed,
        stdin=subprocess.DEVNULL if typed is None else None,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    """`complete` within this process, for what needs no process of its own."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
        code = main(["complete", *arguments])
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run


def assert_fails(done: subprocess.CompletedProcess[str], message: str, code: int = 2) -> None:
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("tenuto: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def imported(*arguments: str) -> list[str]:
    """Return the modules that `tenuto complete` imports, in their order."""
    command = [sys.executable, "-X", "importtime", "-m", "tenuto", "complete", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return [line.rpartition("|")[2].strip() for line in lines]


def test_complete_starts_the_engine_before_it_imports_slow_libraries() -> None:
    modules = imported("--max-tokens", "1", "--temperature", "0.5", "Hello")

    packages = {name.partition(".")[0] for name in modules}
    assert not packages & {"aiohttp", "httpx2", "numpy", "openvino", "rich", "starlette", "uvicorn"}
    assert not {"tenuto.server", "tenuto.client"} & set(modules)
    # The request is checked while the model is loaded.
    launched = modules.index("tenuto.engine.local.launch")
    assert launched < min(map(modules.index, ("asyncio", "pydantic", "tenuto.engine.local.engine")))


def test_complete_prints_clean_text() -> None:
    done = complete("Hello, world!", "--temperature", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    assert not done.stdout.startswith(" ")
    assert done.stdout.endswith("\n")
    assert "Human:" not in done.stdout


def test_piped_prompt_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENUTO_ENGINE_NAME", "echo")
    text = "What is the capital of France?\n"
    argument = complete(text)
    assert argument.stdout.strip() == text.strip()
    piped = complete(typed=text)
    assert (piped.returncode, piped.stdout) == (0, argument.stdout)
    dash = complete("-", typed=text)
    assert dash.stdout == argument.stdout


def test_json_is_the_response_of_the_api() -> None:
    body = json.loads(complete("Hello", "--json", "--max-tokens", "1").stdout)
    assert body["type"] == "completion"
    assert body["stop_reason"] == "max_tokens"
    assert body["model"] == "tenuto-mini"


def test_raw_completes_a_text_without_turns() -> None:
    done = complete("--raw", "Once upon a time", "--max-tokens", "8", "--temperature", "0")
    assert done.returncode == 0
    assert done.stdout.strip()


def test_stop_option_ends_the_text(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENUTO_ENGINE_NAME", "echo")
    arguments = ("--raw", "Once upon a time, there was a")
    text = here(*arguments).stdout.rstrip("\n")
    assert "time" in text
    stopped = here(*arguments, "--stop", "never", "--stop", "time")
    assert (stopped.returncode, stopped.stdout) == (0, text[: text.index("time")] + "\n")


def test_base_url_completes_on_the_server(server: RunningServer) -> None:
    done = complete("Hello", "--base-url", server.url, "--max-tokens", "5", "--temperature", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    body = json.loads(complete("Hello", "--base-url", server.url, "--json").stdout)
    assert body["id"].startswith("compl_")


@pytest.mark.parametrize(
    ("system", "prompt"),
    [
        ("Be brief.\n", "Be brief.\n\nHuman: hi\n\nAssistant:"),
        ("Never say Human: or Assistant:", None),
        ("", "\n\nHuman: hi\n\nAssistant:"),
    ],
)
def test_a_system_text_stands_before_the_first_turn(system: str, prompt: str | None) -> None:
    with scripted_server() as script:
        done = main(["complete", "hi", "-s", system, "--base-url", script.url])
    assert done == 0
    assert script.prompts == [prompt or f"{system}\n\nHuman: hi\n\nAssistant:"]


def test_rejection_by_the_server_is_a_one_line_error(here: Here, server: RunningServer) -> None:
    done = here("--raw", "no turns", "--base-url", server.url)
    assert_fails(done, "prompt must start with")


def test_server_with_extensions_accepts_a_seed(
    here: Here, tmp_path: Path, endless_model: Path
) -> None:
    settings = tmp_path / "tenuto.toml"
    settings.write_text("[api]\nextensions = true\n")
    with running_server("--config", str(settings), "--model", str(endless_model)) as server:
        options = ("Tell me a story.", "--base-url", server.url, "--max-tokens", "40", "--seed")
        texts = [here(*options, seed).stdout for seed in ("1", "1", "1", "2")]
    # The very first run of a prompt may differ from later ones, which find it in the cache.
    assert texts[1] == texts[2] != texts[3]


def test_server_without_extensions_rejects_a_seed_with_the_remedy(
    here: Here, server: RunningServer
) -> None:
    done = here("hi", "--seed", "1", "--base-url", server.url)
    assert_fails(done, "seed: Extra inputs are not permitted; leave --seed out, or set `extensions")


def test_unreachable_server_is_a_one_line_error() -> None:
    assert_fails(complete("hi", "--base-url", "http://127.0.0.1:1"), "http://127.0.0.1:1", code=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hi", "--temperature", "3"), "'--temperature': 3.0 is out of range; allowed is 0 to 1"),
        (("hi", "--top-p", "-1"), "allowed is 0 to 1"),
        (("hi", "--top-k", "-1"), "allowed is 0 or more"),
        (("hi", "--max-tokens", "0"), "allowed is 1 or more"),
        (("hi", "--max-tokens", "many"), "--max-tokens"),
        (("hi", "--seed", str(2**64)), "--seed"),
        (("hi", "--stop", ""), "stop_sequences"),
        (("hi", "--raw", "--system", "x"), "--system and --raw are mutually exclusive"),
        (("hi", "--system", "Brief.\n\nHuman: no"), "--system: the system text must not hold"),
        (("hi", "--system", "Human: no"), "--system: the system text must not hold"),
        (("hi", "--system", "Brief.\n\nAssistant: I"), "--system: the system text must not hold"),
        (("hi", "--nope"), "--nope"),
        (("hi", "--model", "nowhere.gguf"), "nowhere.gguf: there is no such file"),
        (("hi", "--model", "/"), "is a folder"),
        (("hi", "--model", __file__), "not a GGUF file"),
        (("  ",), "the prompt is empty"),
        ((), "the prompt is empty"),
        ((os.fsdecode(b"\xff"),), "prompt"),
    ],
)
def test_invalid_input_is_a_one_line_error(
    here: Here, arguments: tuple[str, ...], message: str
) -> None:
    assert_fails(here(*arguments), message)


def test_truncated_model_is_a_one_line_error(here: Here, tmp_path: Path) -> None:
    whole = built_in_model().read_bytes()
    truncated = tmp_path / "half.gguf"
    truncated.write_bytes(whole[: len(whole) // 2])
    assert_fails(here("hi", "--model", str(truncated)), "half.gguf: the file is truncated")


def test_ctrl_c_exits_cleanly(endless_model: Path) -> None:
    arguments = ["hi", "--model", str(endless_model), "--max-tokens", "1000000"]
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pipesize=4096,  # Too small for the whole text: it is still written when the signal comes.
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read().strip() == ""
        assert process.wait(PATIENCE_S) == 130


def test_closed_output_pipe_is_not_an_error(endless_model: Path) -> None:
    arguments = ["hi", "--model", str(endless_model), "--max-tokens", "1000000"]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE_S) == 0
