from __future__ import annotations

import re

import pytest

from tenuto import __version__
from tenuto.cli.main import main


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
        assert re.search(r"complete +Complete a prompt", capsys.readouterr().out)


def test_version_option_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tenuto {__version__}\n"


def test_help_describes_the_wrapping_of_bare_text(capsys: pytest.CaptureFixture[str]) -> None:
    main(["complete", "--help"])
    assert "wrapped into one Human turn" in " ".join(capsys.readouterr().out.split())


def test_unknown_command_is_a_one_line_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sing"]) == 2
    assert capsys.readouterr().err == "tenuto: No such command 'sing'.\n"


@pytest.mark.parametrize("option", ["--port", "--grace"])
def test_error_of_a_number_out_of_range_has_the_range(
    capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert main(["serve", option, "-1"]) == 2
    assert "allowed is 0 to" in capsys.readouterr().err


COMMANDS = [
    *("complete", "serve", "pull", "models", "rm", "bench", "tune", "config"),
    *("keys new", "keys hash", "keys create", "keys list", "keys show", "keys update"),
    *("keys disable", "keys rotate", "keys delete", "usage", "db migrate"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_no_python_syntax(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert not re.search(r"<\w|\bNone\b|\(\)", capsys.readouterr().out)


@pytest.mark.parametrize("command", ["complete", "pull", "bench", "tune"])
def test_help_shows_examples_line_by_line(capsys: pytest.CaptureFixture[str], command: str) -> None:
    main([command, "--help"])
    shown = capsys.readouterr().out
    assert len(re.findall(rf"^  tenuto {command} ", shown, re.MULTILINE)) >= 1
    assert "\b" not in shown
