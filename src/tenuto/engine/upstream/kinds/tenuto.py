"""Another Tenuto, or any server of this API: passed on as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from tenuto.core.job import Finish, Job
from tenuto.core.prompt import HUMAN
from tenuto.engine.upstream.chat import sampling_of
from tenuto.engine.upstream.kind import ServerUpstream
from tenuto.engine.upstream.reading import Manner, Reading
from tenuto.engine.upstream.request import Steps, UpstreamRequest

API_VERSION: Final = "2023-06-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class TenutoUpstream(ServerUpstream):
    """`kind = "tenuto"`: a server of Text Completions, which gets requests as they are."""

    kind: Literal["tenuto"] = "tenuto"

    def request_for(self, job: Job) -> Steps:
        """Make the request for a job. One step, because nothing of the prompt is copied."""
        yield from ()
        body: dict[str, Any] = {
            "model": job.model,
            "prompt": job.prompt.whole(),
            "max_tokens_to_sample": job.max_tokens,
            "stream": job.stream,
        }
        body |= sampling_of(job)
        if job.stop_sequences:
            body["stop_sequences"] = list(job.stop_sequences)
        if job.sampling.seed is not None:
            body["seed"] = job.sampling.seed  # An extension there too.
        if job.user_id is not None:
            body["metadata"] = {"user_id": job.user_id}
        headers = {"anthropic-version": API_VERSION}
        manner = Manner(_read, plain=not job.stream)
        return UpstreamRequest("/complete", body, headers, manner, most="max_tokens_to_sample")


def _read(name: str, said: dict[str, Any], reading: Reading) -> None:
    """Write down a completion, or the part of one that an event has.

    The first ping says that the job is accepted, but not by which model. So it is passed over;
    a second one is a sign of a long wait, in which the caller should not be left without any.
    """
    if name == "ping":
        reading.pings += 1
        reading.begun = reading.begun or reading.pings == 2
        return
    text, reason, stop = (said.get(key) for key in ("completion", "stop_reason", "stop"))
    if name not in ("completion", "") or not (isinstance(text, str) or "completion" in said):
        return
    reading.begin(said.get("model"))
    if isinstance(text, str) and text:
        reading.texts.append(text)
    if not isinstance(reason, str) or not reason:
        return
    reading.finish = Finish.LENGTH if reason == "max_tokens" else Finish.END
    # The built-in one also stands for the natural end.
    if isinstance(stop, str) and stop != HUMAN:
        reading.stop = stop
