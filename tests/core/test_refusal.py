"""The one error inside."""

from __future__ import annotations

import pickle

from tenuto.core.refusal import Kind, ModelError, Refusal, overloaded


def test_a_refusal_survives_pickling_with_all_it_says() -> None:
    refusal = Refusal(Kind.OVERLOADED, "Full.", retry_after=2.5, retryable=False)
    copy = pickle.loads(pickle.dumps(refusal))
    assert (copy.kind, str(copy)) == (Kind.OVERLOADED, "Full.")
    assert (copy.message, copy.retry_after, copy.retryable) == ("Full.", 2.5, False)
    assert isinstance(pickle.loads(pickle.dumps(ModelError("gone"))), ModelError)


def test_lack_of_room_may_be_gone_in_a_moment() -> None:
    assert overloaded().retry_after == 1.0
