r"""Claude, or any server of the Messages API: a prompt becomes a chat, its answer a completion.

Source of the translation: the service's page *Migrating from Text Completions*, and for what
newer models refuse its migration guides; `docs/bridges.md` has it as a table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from tenuto.core.job import Finish, Job, Usage
from tenuto.core.refusal import unsupported
from tenuto.engine.upstream.capabilities import Capabilities, capabilities_of
from tenuto.engine.upstream.chat import Prefill, as_chat, may_begin_in, sampling_of
from tenuto.engine.upstream.kind import ServerUpstream
from tenuto.engine.upstream.reading import Manner, Reading, count_in
from tenuto.engine.upstream.request import Steps, UpstreamRequest

API_VERSION: Final = "2023-06-01"

# How a message ends where Text Completions knew only that its tokens ran out; all other ends are
# the natural one.
_LENGTH_REASONS: Final = frozenset({"max_tokens", "model_context_window_exceeded"})

# What programs put behind a name to say how they use it, `claude-sonnet-4-5[1m]` for example.
_MARK: Final = re.compile(r"\[[^\[\]]*\]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesUpstream(ServerUpstream):
    """`kind = "messages"`: Claude, or any server of the Messages API.

    Attributes:
        prefill: What to do with the beginning of an answer where the model takes none: give it
            as an instruction, refuse the request, or leave it out.
        takes_prefill: Whether the model takes one. None: as the table of models has it, here
            and below.
        takes_sampling: Whether it takes `temperature`, `top_p` and `top_k`.
        takes_both: Whether it takes `temperature` and `top_p` in one request.
    """

    kind: Literal["messages"] = "messages"
    base_url: str = "https://api.anthropic.com"
    prefill: Prefill = "instruct"
    takes_prefill: bool | None = None
    takes_sampling: bool | None = None
    takes_both: bool | None = None

    def request_for(self, job: Job) -> Steps:
        """Make the request for a job.

        Raises:
            Refusal: The model does not take such a prompt, or there is a seed.
        """
        model = _MARK.sub("", job.model) or job.model
        if job.sampling.seed is not None:
            raise unsupported("seed", f"{model} takes none. Leave it out.")
        capabilities = self._capabilities(model)
        warnings = []
        if model != job.model:
            warnings.append(f"{model} is asked: its API has no names with brackets")
            job = replace(job, model=model)
        chat = yield from as_chat(job, takes_prefill=capabilities.prefill, prefill=self.prefill)
        # White space alone is refused there. A text that the answer repeats first would end it at
        # once. Those are matched here, as all of them are, on a stream that is left at a match.
        stops = [
            stop
            for stop in job.stop_sequences
            if stop.strip() and not (chat.repeated and may_begin_in(stop, chat.repeated))
        ]
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": min(job.max_tokens, capabilities.max_output_tokens),
            "messages": chat.messages,
            "stream": job.stream or len(stops) < len(job.stop_sequences),
        }
        if chat.system:
            body["system"] = chat.system
        if stops:
            body["stop_sequences"] = stops
        if job.user_id is not None:
            body["metadata"] = {"user_id": job.user_id}
        warnings += [*chat.warnings, *_sample(body, job, capabilities)]
        if capabilities.thinking == "off":
            body["thinking"] = {"type": "disabled"}
        elif capabilities.thinking == "always":
            warnings.append(f"{model} thinks before it answers; max_tokens_to_sample counts that")
        headers = {"anthropic-version": API_VERSION}
        manner = Manner(_read, chat.continuation, model, tuple(warnings), plain=not body["stream"])
        return UpstreamRequest("/messages", body, headers, manner)

    def _capabilities(self, model: str) -> Capabilities:
        """Return the model's row of the table, with the settings on top of it."""
        columns = {
            "prefill": self.takes_prefill,
            "sampling": self.takes_sampling,
            "both": self.takes_both,
            "max_output_tokens": self.max_output_tokens,
        }
        known: dict[str, Any] = {
            name: value for name, value in columns.items() if value is not None
        }
        return replace(capabilities_of(model), **known)


def _sample(body: dict[str, Any], job: Job, capabilities: Capabilities) -> list[str]:
    """Put the sampling fields into a request. Return what had to be left out."""
    wanted = sampling_of(job)
    if wanted["temperature"] == 1.0:
        del wanted["temperature"]  # The default everywhere.
    if not capabilities.sampling:
        # As the caller has named them: `top_p` 0 is sent as a temperature.
        fields = {
            "temperature": job.sampling.temperature != 1.0,
            "top_p": job.sampling.top_p,
            "top_k": job.sampling.top_k,
        }
        names = [name for name, value in fields.items() if value not in (None, False)]
        return [f"{job.model} takes no {name}; it was left out" for name in names if wanted]
    left_out = []
    if not capabilities.both and "temperature" in wanted and "top_p" in wanted:
        del wanted["top_p"]
        left_out.append(f"{job.model} takes temperature or top_p, not both; top_p was left out")
    body |= wanted
    return left_out


def _read(name: str, said: dict[str, Any], reading: Reading) -> None:
    """Write down what an event says, or a whole message."""
    match name:
        case "content_block_delta" | "content_block_start":
            part = said.get("delta" if name == "content_block_delta" else "content_block")
            reading.begun = True
            if text := _text_of(part):
                reading.texts.append(text)
        case "message_start":
            message = said.get("message")
            message = message if isinstance(message, dict) else {}
            reading.begin(message.get("model"))
            _count(message, reading)
        case "message_delta":
            _count(said, reading)
            delta = said.get("delta")
            if isinstance(delta, dict) and _is_text(reason := delta.get("stop_reason")):
                reading.begin(None)
                _end(reason, delta, reading)
        case "message_stop":
            reading.done = True
        case "message" | "" if name or "content" in said:
            reading.begin(said.get("model"))
            blocks = said.get("content")
            blocks = blocks if isinstance(blocks, list) else [blocks]
            reading.texts += filter(None, map(_text_of, blocks))
            _count(said, reading)
            # Without a reason too a whole message has ended.
            _end(said.get("stop_reason"), said, reading)
        case _:
            pass  # Pings, the bounds of blocks, and what later versions may add.


def _text_of(part: object) -> str:
    """The text of a block, or of a part of one; "" for thoughts and other kinds."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type") not in ("text", "text_delta", None, ""):
        return ""
    text = part.get("text")
    return text if isinstance(text, str) else ""


def _count(said: dict[str, Any], reading: Reading) -> None:
    """Writes down what it took; the last event says so again, as far as it changed."""
    usage, before = said.get("usage"), reading.usage or Usage()
    cached = count_in(usage, "cache_read_input_tokens")
    fresh = count_in(usage, "input_tokens")
    written = count_in(usage, "output_tokens")
    reading.usage = Usage(
        # Those of the cache are not among them there.
        before.input_tokens if fresh is None else fresh + (cached or 0),
        before.cached_tokens if cached is None else cached,
        before.output_tokens if written is None else written,
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _end(reason: object, said: dict[str, Any], reading: Reading) -> None:
    """Write down how a message ends."""
    is_length = _is_text(reason) and reason in _LENGTH_REASONS
    reading.finish = Finish.LENGTH if is_length else Finish.END
    stop = said.get("stop_sequence")
    if isinstance(stop, str):
        reading.stop = stop
