"""The errors: the official package's names, inheritance and attributes."""

from __future__ import annotations

import re

import anthropic
import pytest

import tenuto
from tenuto.client import errors

SHARED = [
    name
    for name in tenuto.__all__
    if name.endswith("Error") and isinstance(getattr(anthropic, name, None), type)
]


def test_there_are_as_many_as_there_should_be() -> None:
    ours = {name for name in tenuto.__all__ if name.endswith("Error")}
    assert ours - set(SHARED) == {"IncompleteStreamError"}
    theirs = {name for name in anthropic.__all__ if name.endswith("Error")}
    # Of webhooks and of middleware, which Text Completions never had; and two statuses for which
    # the official client has classes, but raises InternalServerError.
    assert theirs - ours == {
        "APIWebhookValidationError",
        "RetryableError",
        "ServiceUnavailableError",
        "DeadlineExceededError",
    }


@pytest.mark.parametrize("name", SHARED)
def test_who_catches_one_catches_the_same(name: str) -> None:
    def line(module: object) -> list[str]:
        return [kind.__name__ for kind in getattr(module, name).__mro__]

    assert line(tenuto) == line(anthropic)


def test_the_tree_at_the_top_of_the_file_is_the_real_one() -> None:
    drawn = re.findall(r"(?:├──|└──|^ {4})\s*(\w+)", errors.__doc__ or "", re.MULTILINE)
    real = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert sorted(drawn) == sorted(real)
