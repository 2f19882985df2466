from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tenuto.cli.main import main
from tenuto.engine.upstream.kinds.openai import OpenAIUpstream
from tenuto.engine.upstream.route import RouteSettings
from tenuto.settings import Settings, SettingsError, load, models_folder


def write(folder: Path, text: str) -> Path:
    path = folder / "tenuto.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_settings_without_file_and_environment_are_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environment={}) == Settings()


def test_defaults_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # One value that is set makes all be checked.
    assert load(environment={"TENUTO_LOG_LEVEL": "info"}) == Settings()


def test_file_in_the_working_directory_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "[server]\nport = 9000\n[engine.local]\nmax_running = 2\n")
    settings = load(environment={})
    assert settings.server.port == 9000
    assert settings.engine.local.max_running == 2


def test_environment_overrides_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\nport = 9000\n")
    environment = {
        "TENUTO_SERVER_PORT": "9001",
        "TENUTO_SERVER_API_KEYS": "one, two",
        "TENUTO_API_LENIENT_PROMPTS": "true",
        "TENUTO_ENGINE_LOCAL_KV_CACHE_MIB": "64",
    }
    settings = load(path, environment)
    assert settings.server.port == 9001
    assert settings.server.api_keys == ("one", "two")
    assert settings.api.lenient_prompts
    assert settings.engine.local.kv_cache_mib == 64


def test_extensions_are_off_by_default(tmp_path: Path) -> None:
    path = write(tmp_path, "[api]\nextensions = true\n")
    assert not load(environment={}).api.extensions
    assert load(path, {}).api.extensions
    assert load(environment={"TENUTO_API_EXTENSIONS": "true"}).api.extensions
    assert not load(path, {"TENUTO_API_EXTENSIONS": "false"}).api.extensions
    with pytest.raises(SettingsError, match=r"\[api\] extensions"):
        load(environment={"TENUTO_API_EXTENSIONS": "seed"})


def test_model_path_is_relative_to_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[engine.local]\nmodel = "a/b.gguf"\n')
    assert load(path, {}).engine.local.model == tmp_path / "a" / "b.gguf"


@pytest.mark.parametrize("name", ["hf:org/repo:m.gguf", "org/repo:m.gguf", "org/repo", "m-Q8_0"])
def test_model_name_in_the_file_is_unchanged(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, f'[engine.local]\nmodel = "{name}"\n')
    assert load(path, {}).engine.local.model == name
    assert load(environment={"TENUTO_ENGINE_LOCAL_MODEL": name}).engine.local.model == name


def test_models_folder_is_the_setting_or_in_the_cache(tmp_path: Path) -> None:
    path = write(tmp_path, '[models]\nfolder = "kept"\n')
    assert models_folder(load(path, {}).models) == tmp_path / "kept"
    cache = {"XDG_CACHE_HOME": "/somewhere"}
    assert models_folder(Settings().models, cache) == Path("/somewhere/tenuto/models")
    home = {"HOME": str(Path.home())}
    assert models_folder(Settings().models, home) == Path.home() / ".cache" / "tenuto" / "models"


ROUTES = '[engine]\nname = "routes"\n[engine.upstreams.a]\n'
OPENAI = ROUTES + 'kind = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n'
ROUTED = OPENAI + '[[engine.routes]]\nmodels = ["*"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nprot = 1\n", r"\[server\] has no key `prot`; did you mean `port`\?"),
        ("[sever]\nport = 1\n", r"unknown section \[sever\]; did you mean \[server\]\?"),
        (
            "[engine.local]\nqqqqq = 1\n",
            r"\[engine.local\] has no key `qqqqq`; write one of: model,",
        ),
        ("server = 1\n", r"`server` is a section: write \[server\]"),
        ("[server]\nport = 70000\n", r"\[server\] port: .*65535"),
        ('[server]\nport = "x"\n', r"\[server\] port: "),
        ("[engine.local]\nmax_running = 0\n", r"\[engine.local\] max_running: .*1"),
        ('[engine]\nname = "ehco"\n', r"\[engine\] name: .*'local', 'routes' or 'echo'"),
        ('[server]\napi_keys = ["plain"]\n', "a file holds hashes only"),
        ("[server\n", "tenuto.toml: "),
        (
            ROUTES + 'kind = "massages"\n',
            r"\[engine.upstreams.a\] kind: must be one of: messages, openai",
        ),
        (ROUTES + 'base_url = "http://x"\n', r"\[engine.upstreams.a\] kind: must be one of: "),
        (ROUTES + 'kind = "openai"\n', r"\[engine.upstreams.a\] base_url: Field required"),
        (OPENAI + "chatt = true\n", r"\[engine.upstreams.a\] has no key `chatt`; .* `chat`\?"),
        (OPENAI + "takes_both = true\n", r"\[engine.upstreams.a\] has no key `takes_both`"),
        (OPENAI + "read_timeout_s = 0\n", r"\[engine.upstreams.a\] read_timeout_s: .*greater"),
        (OPENAI.replace("http://", ""), r"base_url: write it like http://"),
        (
            OPENAI + 'api_key = "$NOT_THERE"\n',
            r"api_key: \$NOT_THERE is not set in the environment",
        ),
        (OPENAI + 'api_key = "x"\nforward_key = true\n', "api_key and forward_key exclude"),
        (OPENAI.replace('"routes"', '"local"'), r'\[engine\] name: write "routes"'),
        ('[engine]\nname = "routes"\n', r"`routes` needs a section \[engine.upstreams.NAME\]"),
        (OPENAI.replace("upstreams.a", 'upstreams."a b"'), "a name has letters, digits"),
        ('[engine]\nupstreams = "x"\n', r"write a section \[engine.upstreams.NAME\]"),
        ("[engine]\nroutes = 1\n", r"write a section \[\[engine.routes\]\]"),
        (ROUTED + 'to = ["b"]\n', r"number 1 to: no \[engine.upstreams.b\]; write one of: a"),
        (ROUTED + "to = []\n", r"\[engine.routes\] to: .*at least 1"),
        (ROUTED + 'to = ["a"]\nweights = [1, 2]\n', r"number 1 weights: must be 1, one for each"),
        (ROUTED + 'to = ["a"]\nweights = [0]\n', r"\[engine.routes\] weights: .*greater than 0"),
        (ROUTED + 'too = ["a"]\n', r"\[engine.routes\] has no key `too`; did you mean `to`\?"),
    ],
)
def test_invalid_file_is_an_error_with_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(write(tmp_path, text), {})


def test_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: No such file"):
        load(tmp_path / "none.toml", {})


def test_invalid_variable_is_an_error_with_the_key() -> None:
    with pytest.raises(SettingsError, match=r"\[server\] port: "):
        load(environment={"TENUTO_SERVER_PORT": "many"})


def test_printed_config_can_be_loaded_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, '[server]\nhost = "::1"\ncors_origins = ["*"]\n')
    assert main(["config", "--config", str(path)]) == 0
    printed = capsys.readouterr().out
    assert load(write(tmp_path, printed), {}) == load(path, {})


def test_config_does_not_print_keys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENUTO_SERVER_API_KEYS", "sk-very-secret")
    assert main(["config"]) == 0
    printed = capsys.readouterr().out
    assert "sk-very-secret" not in printed
    assert tomllib.loads(printed)["server"]["api_keys"] == ["sha256:(hidden)"]


def test_upstream_keys_come_from_the_environment_and_are_not_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAR_KEY", "sk-very-secret")
    keyed = ROUTED.replace("[[", 'api_key = "$FAR_KEY"\n[[')
    path = write(tmp_path, keyed + 'to = ["a:m"]\n')
    (upstream,) = load(path).engine.upstreams.values()
    assert isinstance(upstream, OpenAIUpstream)
    assert (upstream.api_key, upstream.base_url) == ("sk-very-secret", "http://127.0.0.1:1")
    assert "sk-very-secret" not in repr(load(path))
    assert main(["config", "--config", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "sk-very-secret" not in printed
    again = load(write(tmp_path, printed), {})
    assert again.engine.routes == load(path).engine.routes == (RouteSettings(("*",), ("a:m",)),)


def test_hashed_key_is_valid_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "hash", "sk-one-0123456789"]) == 0
    hashed = capsys.readouterr().out.strip()
    path = write(tmp_path, f'[server]\napi_keys = ["{hashed}"]\n')
    assert load(path, {}).server.api_keys == (hashed,)
