"""Convert a `CompletionRequest` to the `Request` of the engines."""

from __future__ import annotations

from typing import Any

from tenuto.core.caller import ANONYMOUS, Caller
from tenuto.core.job import EXTENSIONS, Job, Sampling
from tenuto.core.prompt import HUMAN, Prompt
from tenuto.core.request import Request
from tenuto.wire.completions.extensions import ExtendedRequest
from tenuto.wire.completions.request import CompletionRequest


def sampling_of(fields: CompletionRequest, seed: int | None = None) -> Sampling:
    """Return the sampling parameters of a body; `seed` is the default of its seed.

    Raises:
        Refusal: Two fields exclude each other.
    """
    extensions: dict[str, Any] = {}
    if isinstance(fields, ExtendedRequest):
        fields.check_together()
        # Each has the same name and the same values in a body and in a job.
        extensions = {name: getattr(fields, name) for name in EXTENSIONS}
    if extensions.get("seed") is None:
        extensions["seed"] = seed
    return Sampling(
        # `top_p` 0 leaves the likeliest token alone, as temperature 0 does; 1 is off.
        temperature=0.0 if fields.top_p == 0 else fields.temperature,
        top_p=fields.top_p if fields.top_p is not None and 0 < fields.top_p < 1 else None,
        top_k=fields.top_k or None,
        **extensions,
    )


def request_of(
    fields: CompletionRequest, prompt: Prompt, sampling: Sampling, caller: Caller = ANONYMOUS
) -> Request:
    """Return the request of a body, with its parsed prompt and the result of `sampling_of`."""
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
    stops = (HUMAN, *job.stop_sequences)
    if not isinstance(fields, ExtendedRequest):
        return Request(job, stops)
    return Request(job, stops, fields.prompt if fields.echo else "", reports_usage=True)
