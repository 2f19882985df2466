"""The Text Completions API as a dialect."""

from __future__ import annotations

from typing import Any

import pytest

from tenuto.core.job import ANONYMOUS, Caller, Job, Sampling
from tenuto.core.prompt import HUMAN
from tenuto.core.refusal import Kind
from tenuto.prompt.turns import parse_prompt
from tenuto.wire.completions.dialect import CompletionsDialect, request_of, sampling_of
from tenuto.wire.completions.extensions import ExtendedRequest
from tenuto.wire.completions.request import CompletionRequest, Metadata
from tenuto.wire.field_limits import FieldLimits
from tests.refusals import refused

TEXT = "\n\nHuman: Name one prime.\n\nAssistant:"
PROMPT = parse_prompt(TEXT)


def test_job_has_every_field_of_the_request() -> None:
    request = CompletionRequest(
        model="claude-2.1",
        prompt=TEXT,
        max_tokens_to_sample=7,
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        metadata=Metadata(user_id="u-1"),
        stream=True,
    )

    caller = Caller("one", "sk-1")
    job = request_of(request, PROMPT, sampling_of(request), caller).job

    sampling = Sampling(0.5, 0.9, 5)
    assert job == Job(PROMPT, 7, sampling, "claude-2.1", ("END",), True, "u-1", caller)
    assert "sk-1" not in repr(job)


def test_job_without_sampling_fields_has_no_limits() -> None:
    request = CompletionRequest(model="claude-2.1", prompt=TEXT, max_tokens_to_sample=7, top_k=0)

    job = request_of(request, PROMPT, sampling_of(request)).job

    assert job.sampling == Sampling(1.0, None, None, None)
    assert (job.stop_sequences, job.stream, job.user_id, job.caller) == ((), False, None, ANONYMOUS)


def test_human_turn_is_always_a_stop_sequence() -> None:
    request = CompletionRequest(
        model="m", prompt=TEXT, max_tokens_to_sample=7, stop_sequences=["END"]
    )
    assert request_of(request, PROMPT, Sampling()).stops == (HUMAN, "END")


def test_extensions_reach_the_request() -> None:
    fields: dict[str, Any] = {"model": "m", "prompt": TEXT, "max_tokens_to_sample": 7}
    scored = ExtendedRequest(**fields, seed=5, logprobs=2)
    assert sampling_of(scored) == Sampling(seed=5, logprobs=2)
    request = request_of(scored, PROMPT, Sampling())
    assert (request.echo, request.reports_usage) == ("", True)
    echoing = ExtendedRequest(**fields, echo=True)
    assert request_of(echoing, PROMPT, Sampling()).echo == TEXT
    with refused(Kind.INVALID, "logprobs: with `echo`"):
        sampling_of(ExtendedRequest(**fields, logprobs=0, echo=True))


@pytest.mark.parametrize(
    ("model", "kind"), [("no-such-model", Kind.NOT_FOUND), ("claude-sonnet-4-5", Kind.INVALID)]
)
def test_unknown_names_are_rejected(model: str, kind: Kind) -> None:
    dialect = CompletionsDialect(FieldLimits())
    with refused(kind):
        dialect.check_model(model, ("echo",))
    for name in ("echo", "claude-2.1"):
        dialect.check_model(name, ("echo",))
