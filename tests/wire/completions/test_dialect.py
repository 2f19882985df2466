"""The Text Completions API as a dialect."""

from __future__ import annotations

import pytest

from tenuto.core.refusal import Kind
from tenuto.wire.completions.dialect import CompletionsDialect
from tenuto.wire.field_limits import FieldLimits
from tests.refusals import refused


@pytest.mark.parametrize(
    ("model", "kind"), [("no-such-model", Kind.NOT_FOUND), ("claude-sonnet-4-5", Kind.INVALID)]
)
def test_unknown_names_are_rejected(model: str, kind: Kind) -> None:
    dialect = CompletionsDialect(FieldLimits())
    with refused(kind):
        dialect.check_model(model, ("echo",))
    for name in ("echo", "claude-2.1"):
        dialect.check_model(name, ("echo",))
