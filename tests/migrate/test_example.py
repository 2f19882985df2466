"""The worked example: its commands run, and its tests pass before and after."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenuto.cli.main import main
from tenuto.migrate import PromptError, to_messages
from tenuto.migrate.vendored import to_messages as vendored
from tenuto.migrate.vendoring import module_of
from tests.conftest import running_server

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "way-out.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """The commands of the seven steps, in their order."""
    section = PAGE.partition("## The move in seven steps\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)
    return [line for block in blocks for line in block.splitlines()]


def test_commands_of_the_seven_steps_run(tmp_path: Path) -> None:
    folder = tmp_path / "way-out"
    shutil.copytree(ROOT / "examples" / "way-out", folder)
    settings = tmp_path / "tenuto.toml"
    settings.write_text('[engine]\nname = "echo"\n')
    with running_server("--config", str(settings)) as server:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "none"}

        def run(command: str) -> str:
            done = subprocess.run(
                command, shell=True, cwd=folder, env=environment, text=True, capture_output=True
            )
            # A scan with findings.
            assert done.returncode == ("scan" in command), (command, done.stdout, done.stderr)
            return done.stdout

        run("git init -q && git add -A && git -c user.name=a -c user.email=a@b.c commit -qm Old")
        outputs: dict[str, str] = {}
        for command in commands():
            # The server runs; and the installed SDK is one that has both APIs.
            if not command.startswith(("TENUTO_ENGINE_NAME=", "export ", "pip ")):
                if "report" in command:
                    (folder / "server.log").write_text("".join(server.log))
                outputs[command] = run(command)

    assert len(outputs) == 7
    assert outputs["python -m pytest"].count("3 passed") == 1
    assert "9 findings" in outputs["tenuto migrate scan ."]
    # Four completions before the move, and as many after it.
    assert "4 of 4 requests convert" in outputs["tenuto migrate report server.log"]
    code = "".join(file.read_text() for file in (folder / "desk").glob("*.py"))
    assert "completions" not in code.replace("Text Completions", "")
    assert "import tenuto" not in code
    assert "from tenuto" not in code
    assert "anthropic>=2" in (folder / "requirements.txt").read_text()


TURNS = st.lists(
    st.sampled_from(["\n\nHuman:", "\n\nAssistant:", " Hi", "Human:", "\n", " ", "\r\n", "a b "])
).map("".join)


@given(TURNS)
@example("\n\nHuman: a\n\nHuman: b\n\nAssistant: c \n\nAssistant: d ")
@example("Rules\n\nHuman: a\n\nAssistant:   ")
def test_written_function_is_that_of_tenuto(prompt: str) -> None:
    try:
        expected = to_messages(prompt)
    except PromptError:
        with pytest.raises(ValueError, match="prompt"):
            vendored(prompt)
    else:
        assert vendored(prompt) == expected


def test_module_is_named_with_its_packages(tmp_path: Path) -> None:
    inner = tmp_path / "src" / "app" / "parts"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").touch()
    assert module_of(inner / "turns.py") == "app.parts.turns"
    assert module_of(tmp_path / "turns.py") == "turns"
    for wrong in ("turns", "my-turns.py", "turns.txt"):
        with pytest.raises(ValueError, match="path of a module"):
            module_of(tmp_path / wrong)


PROGRAM = """\
import anthropic
c = anthropic.Anthropic()
def ask(history):
    r = c.completions.create(model="claude-2", prompt=history, max_tokens_to_sample=9)
    print(r.completion)
"""


def test_function_is_written_once_and_replaces_no_other_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program, helper = tmp_path / "app.py", tmp_path / "turns.py"
    program.write_text(PROGRAM)
    arguments = ["migrate", "fix", str(program), "--to", "messages", "--vendor-helper"]
    arguments.append(str(helper))
    assert main(arguments) == 0
    assert "from turns import to_messages" in capsys.readouterr().out
    assert not helper.exists()

    assert main([*arguments, "--write"]) == 0
    written = program.read_text(), helper.read_text()
    assert main([*arguments, "--write"]) == 0
    assert (program.read_text(), helper.read_text()) == written

    program.write_text(PROGRAM)
    helper.write_text("mine = 1\n")
    assert main([*arguments, "--write"]) == 2
    assert "is not the file of --vendor-helper" in capsys.readouterr().err
    assert helper.read_text() == "mine = 1\n"
    assert program.read_text() == PROGRAM

    bad = [*arguments[:-1], "no-module"]
    assert main(bad) == 2
    assert "write the path of a module" in capsys.readouterr().err
