"""`[store]` and `[ledger]`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenuto.settings import SettingsError, StoreSettings, load, store_location


def written(folder: Path, text: str) -> Path:
    file = folder / "tenuto.toml"
    file.write_text(text)
    return file


def test_store_is_in_the_state_folder_by_default(tmp_path: Path) -> None:
    settings = load(environment={}).store

    of_state = store_location(settings, {"XDG_STATE_HOME": str(tmp_path)})
    of_home = store_location(settings, {"HOME": str(tmp_path), "XDG_STATE_HOME": "relative"})
    assert of_state.path == tmp_path / "tenuto" / "store.db"
    assert of_home.path == tmp_path / ".local" / "state" / "tenuto" / "store.db"


@pytest.mark.parametrize(("path", "expected"), [("a/b.db", "{}/a/b.db"), ("/x/b.db", "/x/b.db")])
def test_path_counts_from_the_folder_of_the_settings_file(
    tmp_path: Path, path: str, expected: str
) -> None:
    file = written(tmp_path, f'[store]\nurl = "sqlite:///{path}"\n')

    assert store_location(load(file, {}).store).path == Path(expected.format(tmp_path))


def test_variable_overrides_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, '[store]\nurl = "sqlite:///a.db"\n[ledger]\nretention_days = 7\n')
    settings = load(file, {"TENUTO_STORE_URL": "postgresql://u@h:5/d"})

    assert store_location(settings.store).url == "postgresql://u@h:5/d"
    assert (settings.ledger.enabled, settings.ledger.retention_days) == (True, 7)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@h/d",
        "hunter2",
        "sqlite:///",
        "sqlite://hunter2",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=hunter2",
        "postgresql://u:hunter2@h",
        "postgresql://u:hunter2@h:port/d",
        "postgresql://u:hunter2@[h/d",
    ],
)
def test_invalid_url_is_refused_without_being_shown(tmp_path: Path, url: str) -> None:
    file = written(tmp_path, f'[store]\nurl = "{url}"\n')
    of_variable = {"TENUTO_STORE_URL": url}
    for path, variables in ((None, of_variable), (file, dict[str, str]())):
        with pytest.raises(SettingsError) as raised:
            load(path, variables)
        (mistake,) = raised.value.mistakes
        assert "[store] url" in mistake
        assert "hunter2" not in mistake


def test_place_in_messages_has_no_password() -> None:
    location = store_location(StoreSettings("postgresql://u:hunter2@h:5/d?password=hunter2"))

    assert str(location) == "postgresql://h:5/d"
    assert "hunter2" not in repr(location)


@pytest.mark.parametrize("text", ["retention_days = 0", "enabled = 3", "retention = 3"])
def test_invalid_ledger_setting_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"ledger"):
        load(written(tmp_path, f"[ledger]\n{text}\n"), {})
