"""Expected refusals, by kind and message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tenuto.core.refusal import Kind, Refusal


@contextmanager
def refused(kind: Kind, match: str | None = None) -> Iterator[pytest.ExceptionInfo[Refusal]]:
    """Expect a `Refusal` of a kind, with a message that matches a pattern."""
    with pytest.raises(Refusal, match=match) as raised:
        yield raised
    assert raised.value.kind is kind
