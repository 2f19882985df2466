"""`[idempotency]`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenuto.settings import IdempotencySettings, SettingsError, load


def written(folder: Path, text: str) -> Path:
    path = folder / "tenuto.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_bounds_are_set_by_file_and_environment(tmp_path: Path) -> None:
    text = '[idempotency]\nstore = "database"\nmax_mib = 8\nmax_response_mib = 2\n'
    file = written(tmp_path, text)
    environment = {
        "TENUTO_IDEMPOTENCY_MAX_ENTRIES": "100",
        "TENUTO_IDEMPOTENCY_MAX_AGE_S": "3600",
        "TENUTO_IDEMPOTENCY_ENABLED": "false",
    }

    assert load(file, environment).idempotency == IdempotencySettings(
        enabled=False,
        store="database",
        max_mib=8,
        max_response_mib=2,
        max_entries=100,
        max_age_s=3600.0,
    )


def test_unknown_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\[idempotency\] store: .*'database'"):
        load(written(tmp_path, '[idempotency]\nstore = "redis"\n'), {})


@pytest.mark.parametrize(
    "text", ["max_mib = 0", "max_entries = 0", "max_age_s = 0", "max_response_mib = 0.5"]
)
def test_bound_that_keeps_nothing_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"\[idempotency\] max_"):
        load(written(tmp_path, f"[idempotency]\n{text}\n"), {})
