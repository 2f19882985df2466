"""`CompletionRequest` -> `Request`: the API's fields in the terms of the engines."""

from __future__ import annotations

from tenuto.core.caller import ANONYMOUS, Caller
from tenuto.core.job import Job, Sampling
from tenuto.core.prompt import HUMAN, Prompt
from tenuto.core.request import Request
from tenuto.wire.completions.extensions import ExtendedRequest
from tenuto.wire.completions.request import CompletionRequest


def request_of(
    fields: CompletionRequest,
    prompt: Prompt,
    caller: Caller = ANONYMOUS,
    *,
    seed: int | None = None,
) -> Request:
    """Return the request that a body stands for.

    Args:
        fields: The body.
        prompt: Its prompt, parsed.
        caller: The sender.
        seed: See `Sampling`; that of an `ExtendedRequest` wins.

    Raises:
        Refusal: Two fields exclude each other.
    """
    extended = fields if isinstance(fields, ExtendedRequest) else None
    if extended is not None:
        extended.check_together()
        seed = seed if extended.seed is None else extended.seed
    sampling = Sampling(
        # `top_p` 0 leaves the likeliest token alone, as temperature 0 does; 1 is off.
        temperature=0.0 if fields.top_p == 0 else fields.temperature,
        top_p=fields.top_p if fields.top_p is not None and 0 < fields.top_p < 1 else None,
        top_k=fields.top_k or None,
        seed=seed,
        logprobs=None if extended is None else extended.logprobs,
    )
    job = Job(
        prompt=prompt,
        max_tokens=fields.max_tokens_to_sample,
        sampling=sampling,
        model=fields.model,
        stop_sequences=tuple(fields.stop_sequences),
        stream=fields.stream,
        user_id=fields.metadata.user_id if fields.metadata else None,
        caller=caller,
    )
    echo = fields.prompt if extended is not None and extended.echo else ""
    return Request(job, (HUMAN, *job.stop_sequences), echo, reports_usage=extended is not None)
