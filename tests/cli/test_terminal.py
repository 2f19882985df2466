"""Output on a terminal: spinner, tables, next steps, Ctrl-C."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from tenuto.engine.local.model_file import built_in_model
from tests.bench.scripted_server import scripted_server
from tests.cli.on_terminal import on_terminal

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ERASED = re.compile(r"\r?\x1b\[2?K")
SPINNER = re.compile(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] ([^\x1b]*)")


def screen(shown: str) -> list[str]:
    """Return the lines that stay after carriage returns and erasing sequences."""
    lines = []
    for line in shown.replace("\r\n", "\n").split("\n"):
        left = ERASED.split(line)[-1]
        lines.append(CONTROL.sub("", left).rstrip())
    return lines


class Gate:
    """A gate before the worker of a command: it loads nothing until `open` is called."""

    def __init__(self, folder: Path) -> None:
        self._pipe = folder / "gate"
        os.mkfifo(self._pipe)
        (folder / "sitecustomize.py").write_text(
            "import sys\n"
            "if 'tenuto.engine.local.worker' in sys.orig_argv:\n"
            f"    open({str(self._pipe)!r}).read()\n"
        )
        self.variables = {"PYTHONPATH": str(folder)}

    def open(self) -> None:
        """Let the worker pass, as soon as it is there."""
        self._pipe.write_bytes(b"")


def test_spinner_is_shown_and_erased_while_the_model_loads(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    code, shown = on_terminal(
        ["complete", "Hello", "--max-tokens", "2"],
        tmp_path,
        after=b"Loading",
        then=gate.open,
        variables=gate.variables,
    )
    assert code == 0
    assert "Loading the model…" in SPINNER.findall(shown)
    assert screen(shown)[0] == "tenuto-mini"
    assert "Loading" not in " ".join(screen(shown))


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_spinner_is_shown_until_the_first_token(tmp_path: Path, options: list[str]) -> None:
    with scripted_server() as script:
        script.first_s = 1.0
        # `--json` needs another kind of answer, which this server lacks; it still waits.
        _, shown = on_terminal(["complete", "Hi", "--base-url", script.url, *options], tmp_path)
    assert f"Waiting for {script.url}…" in SPINNER.findall(shown)
    assert "Waiting" not in " ".join(screen(shown))


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_spinner_is_disabled_by_the_environment(tmp_path: Path, variables: dict[str, str]) -> None:
    with scripted_server() as script:
        script.first_s = 0.6
        code, shown = on_terminal(
            ["complete", "Hi", "--base-url", script.url], tmp_path, variables=variables
        )
    assert code == 0
    assert "Waiting" not in shown
    assert "\x1b" not in shown
    assert "one two three" in shown


def test_ctrl_c_keeps_the_printed_text_and_prints_stopped(tmp_path: Path) -> None:
    with scripted_server() as script:
        script.held = threading.Event()
        code, shown = on_terminal(
            ["complete", "Hi", "--base-url", script.url], tmp_path, b"\x03", after=b"one"
        )
    assert code == 130
    lines = [line for line in screen(shown) if line]
    assert lines[1:] == ["one^C", "Stopped."]


def test_ctrl_c_while_the_model_loads_prints_stopped(tmp_path: Path) -> None:
    code, shown = on_terminal(
        ["complete", "Hi"], tmp_path, b"\x03", after=b"Loading", variables=Gate(tmp_path).variables
    )
    assert code == 130
    assert screen(shown)[-2] == "Stopped."
    assert "Loading" not in " ".join(screen(shown))


def test_serve_prints_the_next_step_and_its_shutdown(tmp_path: Path) -> None:
    code, shown = on_terminal(
        ["serve", "--port", "0"],
        tmp_path,
        b"\x03",
        after=b"Next",
        variables={"TENUTO_ENGINE_NAME": "echo"},
    )
    assert code == 0
    assert re.search(r"Next, in another terminal: tenuto complete --base-url http://127", shown)
    assert screen(shown)[-2].endswith("Stopped.")


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (["keys", "new"], "Next: add the hash to `api_keys` in [server] of tenuto.toml"),
        (["models"], "Next: tenuto pull "),
        (["complete", "Hi", "--max-tokens", "1"], "Cut off at the limit of tokens"),
        (["complete", "Hello, world!", "--json"], "This is the small built-in model."),
    ],
)
def test_command_prints_the_next_step(tmp_path: Path, arguments: list[str], step: str) -> None:
    code, shown = on_terminal(arguments, tmp_path)
    assert code == 0
    assert step in shown


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_tables_fit_the_terminal(tmp_path: Path, columns: int) -> None:
    folder = tmp_path / "tenuto" / "models" / "organisation" / "some-model-GGUF"
    folder.mkdir(parents=True)
    (folder / "some-model-Q8_0.gguf").write_bytes(built_in_model().read_bytes())
    (folder / f"other-Q4_0.gguf.{'0' * 12}.part").write_bytes(bytes(1500))
    (folder / "odd.gguf").write_bytes(b"GGUF?")
    _, shown = on_terminal(["models"], tmp_path, columns=columns)
    with scripted_server() as script:
        options = ["--base-url", script.url, "--concurrency", "1,2", "--requests", "2"]
        code, table = on_terminal(["bench", *options], tmp_path, columns=columns)
    assert code == 0
    # The progress bars are erased by other means than `screen` knows.
    figures = [line for line in screen(table) if "━" not in line]
    lines = screen(shown) + figures
    assert "some-model-Q8_0.gguf" in shown
    assert max(len(line) for line in lines if "/" not in line) <= columns
    # No column is broken: names stay whole on lines of their own.
    assert "organisation/some-model-GGUF:some-model-Q8_0.gguf" in shown
    assert [line.split()[0] for line in figures if line.strip()[:1].isdigit()] == ["1", "2"]
