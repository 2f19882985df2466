"""A kind of upstream is a module in a folder, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest

from tenuto.engine.upstream.kind import ServerUpstream
from tenuto.engine.upstream.kinds import NAMES, kind_named


@pytest.mark.parametrize("name", NAMES)
def test_kind_has_the_name_of_its_module(name: str) -> None:
    kind = kind_named(name)
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    assert defaults["kind"] == name
    assert kind.__module__ == f"tenuto.engine.upstream.kinds.{name}"


@pytest.mark.parametrize("name", NAMES)
def test_kind_builds_its_own_requests(name: str) -> None:
    assert kind_named(name).request_for is not ServerUpstream.request_for


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("messages", ("x-api-key", "k")),
        ("openai", ("authorization", "Bearer k")),
        ("tenuto", ("x-api-key", "k")),
    ],
)
def test_kind_sends_its_key_in_its_header(name: str, header: tuple[str, str]) -> None:
    upstream = kind_named(name)(base_url="http://x", kind=name)
    assert upstream.key_headers("k") == dict([header])
