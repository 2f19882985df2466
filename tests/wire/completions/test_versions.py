"""The `anthropic-version` header."""

from __future__ import annotations

import pytest

from tenuto.core.refusal import Kind
from tenuto.wire.completions.versions import Version, parse_version
from tests.refusals import refused


@pytest.mark.parametrize("header", ["2023-06-01", " 2023-06-01 ", "2023-06-01\t"])
def test_version_of_the_official_clients_is_accepted(header: str) -> None:
    assert parse_version(header) is Version.V2023_06_01


def test_later_version_is_treated_like_2023_06_01() -> None:
    assert parse_version("2026-10-21") is Version.V2023_06_01


def test_missing_version_is_rejected() -> None:
    with refused(Kind.INVALID, match=r"^anthropic-version: header is required"):
        parse_version(None)


@pytest.mark.parametrize(
    "header",
    ["", "1", "2022-01-01", "2023-10-01", "v2023-06-01", "latest"],
)
def test_unknown_version_is_rejected_by_name(header: str) -> None:
    with refused(Kind.INVALID) as raised:
        parse_version(header)

    assert raised.value.message.startswith(f'anthropic-version: "{header}" is not a valid version')
