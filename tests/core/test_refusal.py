"""The one error inside."""

from __future__ import annotations

import pickle

from tenuto.core.refusal import Kind, ModelError, Refusal, overloaded


def test_pickled_refusal_keeps_every_field() -> None:
    refusal = Refusal(Kind.OVERLOADED, "Full.", retry_after=2.5, retryable=False)
    copy = pickle.loads(pickle.dumps(refusal))
    assert (copy.kind, str(copy)) == (Kind.OVERLOADED, "Full.")
    assert (copy.message, copy.retry_after, copy.retryable) == ("Full.", 2.5, False)
    assert isinstance(pickle.loads(pickle.dumps(ModelError("gone"))), ModelError)


def test_overloaded_refusal_has_retry_after() -> None:
    assert overloaded().retry_after == 1.0
