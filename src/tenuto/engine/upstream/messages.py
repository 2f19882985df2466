r"""Claude, or any server of the Messages API: a prompt becomes a chat, its answer a completion.

Source of the translation: the service's page *Migrating from Text Completions*, and for what
newer models refuse its migration guides; `docs/bridges.md` has it as a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tenuto.engine.base import Accepted, Finish, Job
from tenuto.engine.upstream.capabilities import Capabilities, capabilities_of
from tenuto.engine.upstream.chat import Prefill, as_chat
from tenuto.engine.upstream.engine import Question
from tenuto.engine.upstream.failures import error_of_event, json_object
from tenuto.engine.upstream.reading import Reading
from tenuto.wire.event_source import ServerSentEvent

API_VERSION: Final = "2023-06-01"

# How a message ends where Text Completions knew only that its tokens ran out; all other ends are
# the natural one.
_LENGTH_REASONS: Final = frozenset({"max_tokens", "model_context_window_exceeded"})


@dataclass(frozen=True, slots=True)
class MessagesTarget:
    """On what terms a server of the Messages API answers.

    Attributes:
        prefill: What to do with a prefill that the model refuses.
        known: What is known better than the table has it, by the names of its columns.
    """

    prefill: Prefill = "instruct"
    known: Mapping[str, Any] | None = None

    def ask(self, job: Job) -> Question:
        """What the Messages API is asked for a job.

        Raises:
            UpstreamError: The model does not take such a prompt; status 400.
        """
        able = capabilities_of(job.model)
        if self.known:
            able = replace(able, **self.known)
        chat = as_chat(job, takes_prefill=able.prefill, prefill=self.prefill)
        body: dict[str, Any] = {
            "model": job.model,
            "max_tokens": min(job.max_tokens, able.max_output_tokens),
            "messages": chat.messages,
            "stream": job.stream,
        }
        if chat.system:
            body["system"] = chat.system
        # White space alone is refused there; it is matched here, as all of them are.
        if stops := [stop for stop in job.stop_sequences if stop.strip()]:
            body["stop_sequences"] = stops
        if job.user_id is not None:
            body["metadata"] = {"user_id": job.user_id}
        warnings = [*chat.warnings, *_sample(body, job, able)]
        if able.thinking == "off":
            body["thinking"] = {"type": "disabled"}
        elif able.thinking == "always":
            warnings.append(
                f"{job.model} thinks before it answers; max_tokens_to_sample counts that too"
            )
        reader = _Reader(job.model, tuple(warnings))
        headers = {"anthropic-version": API_VERSION}
        return Question(
            "/v1/messages", body, headers, reader.event, reader.whole, chat.continuation
        )


def _sample(body: dict[str, Any], job: Job, able: Capabilities) -> list[str]:
    """Puts the sampling fields into a request. Returns what had to be left out."""
    asked = {"temperature": job.temperature, "top_p": job.top_p, "top_k": job.top_k}
    if job.temperature == 1.0:
        del asked["temperature"]  # The default everywhere.
    wanted = {name: value for name, value in asked.items() if value is not None}
    if not able.sampling:
        return [f"{job.model} takes no {name}; it was left out" for name in wanted]
    left_out = []
    if not able.both and "temperature" in wanted and "top_p" in wanted:
        del wanted["top_p"]
        left_out.append(f"{job.model} takes temperature or top_p, not both; top_p was left out")
    body |= wanted
    return left_out


class _Reader:
    """Reads the answers of the Messages API."""

    def __init__(self, model: str, warnings: tuple[str, ...]) -> None:
        self._model = model
        self._warnings = warnings

    def whole(self, message: dict[str, Any], reading: Reading) -> None:
        blocks = message.get("content")
        if message.get("type") == "error" or not isinstance(blocks, list):
            return  # A reading without anything is no answer.
        reading.accepted = self._accepted(message)
        texts = (block.get("text") for block in blocks if isinstance(block, dict))
        reading.texts = [text for text in texts if isinstance(text, str)]
        _end(message, reading)

    def event(self, event: ServerSentEvent, reading: Reading) -> None:
        match event.name:
            case "content_block_delta":
                delta = json_object(event.data).get("delta")
                text = delta.get("text") if isinstance(delta, dict) else None
                if isinstance(text, str):
                    reading.texts.append(text)
            case "message_start":
                message = json_object(event.data).get("message")
                reading.accepted = self._accepted(message if isinstance(message, dict) else {})
            case "message_delta":
                delta = json_object(event.data).get("delta")
                if isinstance(delta, dict) and delta.get("stop_reason") is not None:
                    _end(delta, reading)
            case "error":
                reading.failure = error_of_event(event.data)
            case _:
                pass  # Pings, the bounds of blocks, and what later versions may add.

    def _accepted(self, message: dict[str, Any]) -> Accepted:
        model = message.get("model")
        return Accepted(model if isinstance(model, str) else self._model, warnings=self._warnings)


def _end(said: dict[str, Any], reading: Reading) -> None:
    """Writes down how a message ends."""
    length = said.get("stop_reason") in _LENGTH_REASONS
    reading.finish = Finish.LENGTH if length else Finish.END
    stop = said.get("stop_sequence")
    if isinstance(stop, str):
        reading.stop = stop
