from __future__ import annotations

from datetime import date
from typing import get_args

import pytest

from tenuto.wire.names import (
    ALIASES,
    MESSAGES_MODELS,
    TEXT_MODELS,
    MessagesModel,
    TextModel,
    resolve,
    retired_on,
)


def test_every_model_with_a_date_is_in_the_list_of_its_api() -> None:
    assert set(TEXT_MODELS) == set(get_args(TextModel))
    assert set(MESSAGES_MODELS) == set(get_args(MessagesModel))


def test_no_model_is_in_both_lists() -> None:
    assert set(TEXT_MODELS).isdisjoint(MESSAGES_MODELS)


@pytest.mark.parametrize("alias", ALIASES)
def test_alias_resolves_to_a_known_model_in_one_step(alias: str) -> None:
    assert alias in TEXT_MODELS
    assert resolve(alias) in TEXT_MODELS
    assert resolve(resolve(alias)) == resolve(alias)


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("claude-2.1", date(2025, 7, 21)),
        ("claude-instant-1.2", date(2024, 11, 6)),
        ("claude-3-haiku-20240307", date(2026, 4, 20)),
        ("claude-haiku-4-5", None),
        ("tenuto-mini", None),
    ],
)
def test_retirement_date_is_that_of_the_table(name: str, end: date | None) -> None:
    assert retired_on(name) == end
