"""A store of its own for each test of a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tenuto.cli.main import main


class Command:
    """Run `tenuto` in this process, with a store in a temporary folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str], file: Path) -> None:
        self._capsys = capsys
        self.file = file

    def output(self, *arguments: str) -> str:
        assert main(list(arguments)) == 0, self._capsys.readouterr().err
        return self._capsys.readouterr().out

    def json(self, *arguments: str) -> Any:
        return json.loads(self.output(*arguments, "--json"))

    def error(self, *arguments: str, code: int = 2) -> str:
        assert main(list(arguments)) == code
        printed = self._capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return printed.err
