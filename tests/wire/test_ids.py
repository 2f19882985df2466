"""Identifiers in the form of the API."""

from __future__ import annotations

import re

import pytest

from tenuto.wire.ids import new_id


@pytest.mark.parametrize("prefix", ["compl", "req"])
def test_an_id_is_its_prefix_and_24_letters_and_digits(prefix: str) -> None:
    for _ in range(200):
        assert re.fullmatch(prefix + "_[0-9A-Za-z]{24}", new_id(prefix))


def test_random_part_has_no_ambiguous_characters() -> None:
    random_parts = "".join(new_id("compl").removeprefix("compl_01") for _ in range(200))

    assert not set(random_parts) & set("0OIl")


def test_ids_do_not_repeat() -> None:
    assert len({new_id("compl") for _ in range(1000)}) == 1000
