"""Another Tenuto, or any server of this API: passed on as it is."""

from __future__ import annotations

from typing import Any, Final

from tenuto.engine.base import Accepted, Finish, Job
from tenuto.engine.upstream.engine import Question
from tenuto.engine.upstream.failures import error_of_event, json_object
from tenuto.engine.upstream.reading import Reading
from tenuto.prompt.turns import HUMAN
from tenuto.wire.event_source import ServerSentEvent

API_VERSION: Final = "2023-06-01"


def ask(job: Job) -> Question:
    """What a server of Text Completions is asked for a job."""
    body: dict[str, Any] = {
        "model": job.model,
        "prompt": job.prompt.text,
        "max_tokens_to_sample": job.max_tokens,
        "temperature": job.temperature,
        "stream": job.stream,
    }
    if job.top_p is not None:
        body["top_p"] = job.top_p
    if job.top_k is not None:
        body["top_k"] = job.top_k
    if job.stop_sequences:
        body["stop_sequences"] = list(job.stop_sequences)
    if job.user_id is not None:
        body["metadata"] = {"user_id": job.user_id}
    headers = {"anthropic-version": API_VERSION}
    return Question("/v1/complete", body, headers, _Events().read, _whole)


def _whole(completion: dict[str, Any], reading: Reading) -> None:
    if completion.get("type", "completion") == "completion":
        _read(completion, reading)


class _Events:
    """Reads the events of a stream.

    The first ping says that the job is accepted, but not by which model. So it is passed over;
    a second one is a sign of a long wait, in which the caller should not be left without any.
    """

    def __init__(self) -> None:
        self._pings = 0

    def read(self, event: ServerSentEvent, reading: Reading) -> None:
        match event.name:
            case "completion":
                _read(json_object(event.data), reading)
            case "ping":
                self._pings += 1
                if self._pings == 2 and reading.accepted is None:
                    reading.accepted = Accepted()
            case "error":
                reading.failure = error_of_event(event.data)
            case _:
                pass


def _read(completion: dict[str, Any], reading: Reading) -> None:
    """Writes down a completion, or the part of one that an event has."""
    text, model = completion.get("completion"), completion.get("model")
    if not isinstance(text, str):
        return
    if reading.accepted is None:
        reading.accepted = Accepted(model if isinstance(model, str) else None)
    if text:
        reading.texts.append(text)
    reason, stop = completion.get("stop_reason"), completion.get("stop")
    if reason is None:
        return
    reading.finish = Finish.LENGTH if reason == "max_tokens" else Finish.END
    # The built-in one also stands for the natural end.
    if isinstance(stop, str) and stop != HUMAN:
        reading.stop = stop
