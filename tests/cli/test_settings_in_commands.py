"""Use and display of the settings by the commands."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tenuto.cli.main import main
from tenuto.settings.upstreams import without_password


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def error(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    assert main(list(arguments)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_complete_reads_the_file_of_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tenuto.toml").write_text('[engine.local]\nmodel = "nosuch.gguf"\n')
    assert "nosuch.gguf" in error(capsys, "complete", "hi")
    (tmp_path / "tenuto.toml").write_text('[engine]\nname = "echo"\n')
    assert main(["complete", "Hello"]) == 0
    assert capsys.readouterr().out == "Hello\n"


def test_complete_reads_the_variables_and_the_named_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[engine]\nname = "echo"\n')
    assert main(["complete", "Hello", "--config", str(other)]) == 0
    assert capsys.readouterr().out == "Hello\n"
    monkeypatch.setenv("TENUTO_ENGINE_LOCAL_MODEL", "nosuch.gguf")
    assert "nosuch.gguf" in error(capsys, "complete", "hi")


def test_complete_uses_the_upstreams_of_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tenuto.toml").write_text(
        '[engine]\nname = "routes"\n[engine.upstreams.far]\nkind = "tenuto"\n'
        'base_url = "http://127.0.0.1:1"\n'
    )
    assert "cannot be reached" in error(capsys, "complete", "hi", code=1)


def test_complete_uses_the_server_of_the_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENUTO_ENGINE_NAME", "echo")
    monkeypatch.setenv("TENUTO_BASE_URL", "http://127.0.0.1:1")
    assert "http://127.0.0.1:1" in error(capsys, "complete", "hi", code=1)
    monkeypatch.setenv("TENUTO_BASE_URL", "")
    assert main(["complete", "Hello"]) == 0


@pytest.mark.parametrize("command", ["complete x", "serve", "config", "models", "rm x", "bench"])
def test_every_settings_error_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("TENUTO_SERVER_PROT", "1")
    monkeypatch.setenv("TENUTO_SERVER_API_KEY", "sk-secret")
    lines = error(capsys, *command.split()).splitlines()
    assert [line.split(":")[1] for line in lines] == [
        " TENUTO_SERVER_API_KEY",
        " TENUTO_SERVER_PROT",
    ]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("abc", "the key has 3 characters, and must have 16 or more"),
        ("", "the key is empty"),
        ("0123456789abcde…", "printable ASCII"),
    ],
)
def test_weak_key_is_rejected(capsys: pytest.CaptureFixture[str], key: str, message: str) -> None:
    assert message in error(capsys, "keys", "hash", key)


def test_config_prints_the_origin_of_each_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tenuto.toml").write_text("[server]\nport = 9000\n[api]\nextensions = true\n")
    monkeypatch.setenv("TENUTO_SERVER_PORT", "9001")
    assert main(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"# settings file: {tmp_path / 'tenuto.toml'}"
    assert "port = 9001  # TENUTO_SERVER_PORT" in lines
    assert "extensions = true  # tenuto.toml" in lines
    assert 'host = "127.0.0.1"' in lines
    tomllib.loads("\n".join(lines))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@10.0.0.1:8001/v1",
        "https://hunter2@host/v1",
        "http://user:hun/hunter2@host/v1",
        "http://host/v1?key=hunter2",
        "ftp://user:hunter2@host",
    ],
)
def test_password_in_a_base_url_is_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    assert "hunter2" not in without_password(url)
    (tmp_path / "tenuto.toml").write_text(
        f'[engine]\nname = "routes"\n[engine.upstreams.a]\nkind = "openai"\nbase_url = "{url}"\n'
    )
    assert main(["config"]) in (0, 2)
    printed = capsys.readouterr()
    assert "hunter2" not in printed.out + printed.err
    for command in (["complete", "hi"], ["bench"]):
        main([*command, "--base-url", url.replace("10.0.0.1:8001", "127.0.0.1:1")])
        printed = capsys.readouterr()
        assert "hunter2" not in printed.out + printed.err
        assert "Traceback" not in printed.err


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "http://[", "http://", "x", "http://a:b"])
def test_invalid_base_url_is_a_one_line_error(capsys: pytest.CaptureFixture[str], url: str) -> None:
    shown = error(capsys, "complete", "hi", "--base-url", url)
    assert shown.count("\n") == 1


def test_error_of_an_invalid_key_does_not_show_the_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENUTO_API_KEY", "sk-secret…")
    shown = error(capsys, "complete", "hi", "--base-url", "http://127.0.0.1:1")
    assert shown.count("\n") == 1
    assert "secret" not in shown


def test_error_of_a_misspelt_option_has_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean --model?" in error(capsys, "complete", "hi", "--modle", "x")
    assert "Did you mean --max-tokens?" in error(capsys, "complete", "hi", "--max-tokns", "3")


@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_command_summaries_are_not_truncated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    for arguments in ([], ["keys"]):
        assert main(arguments) == 0
        summaries = capsys.readouterr().out.partition("Commands:")[2]
        assert "hash" in summaries or "serve" in summaries
        assert "..." not in summaries
    assert main(["models"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= max(int(width), 80)


@pytest.mark.parametrize("host", ["http://127.0.0.1", "127.0.0.1:80", "", "[::1"])
def test_invalid_host_is_a_one_line_error(capsys: pytest.CaptureFixture[str], host: str) -> None:
    assert error(capsys, "serve", "--host", host).startswith("tenuto: --host: must be")
