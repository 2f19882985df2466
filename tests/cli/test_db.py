from __future__ import annotations

from pathlib import Path

import pytest

from tenuto.cli.main import main


def test_migrate_makes_the_tables_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENUTO_STORE_URL", f"sqlite:///{tmp_path}/folder/store.db")

    assert main(["db", "migrate"]) == 0
    assert capsys.readouterr().err == f"{tmp_path}/folder/store.db has schema 2 now.\n"
    assert main(["db", "migrate"]) == 0
    assert capsys.readouterr().err == f"{tmp_path}/folder/store.db has schema 2 already.\n"


def test_help_lists_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db"]) == 0
    assert "migrate" in capsys.readouterr().out
