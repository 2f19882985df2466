r"""Claude, or any server of the Messages API: a prompt becomes a chat, its answer a completion.

Source of the translation: the service's page *Migrating from Text Completions*, and for what
newer models refuse its migration guides; `docs/bridges.md` has it as a table.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Literal

from tenuto.engine.base import Accepted, Finish, Job, Piece, Status, UpstreamError
from tenuto.engine.upstream.capabilities import Capabilities, capabilities_of
from tenuto.engine.upstream.connection import (
    BROKE_OFF,
    GARBAGE,
    Address,
    Answer,
    Connection,
    error_of_event,
    json_object,
)
from tenuto.prompt.render import Chat, Continuation, to_chat
from tenuto.wire.event_source import EventSource

API_VERSION: Final = "2023-06-01"

Prefill = Literal["instruct", "refuse", "drop"]

_INSTRUCTION: Final = (
    "Your answer must begin with exactly the text between the two lines below, and then go on from "
    "there without repeating it.\n<beginning>\n{prefill}\n</beginning>"
)

# How a message ends, and what that is in Text Completions, which knew two ways.
_LENGTH_REASONS: Final = frozenset({"max_tokens", "model_context_window_exceeded"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings know better than the table. None: as the table says."""

    prefill: bool | None = None
    sampling: bool | None = None
    both: bool | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Who answers, and on what terms.

    Attributes:
        model: Its name there; None passes on the name that was asked for.
        key: Sent as `x-api-key`, None for none.
        forward_key: Send the caller's key instead.
        prefill: What to do with a prefill that the model refuses: give it as an instruction,
            refuse the request, or leave it out.
        limits: See there.
    """

    model: str | None
    key: str | None = None
    forward_key: bool = False
    prefill: Prefill = "instruct"
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Translation:
    """A job, as the Messages API is asked for it.

    Attributes:
        body: The request's JSON.
        chat: The prompt's parts.
        instructed: Whether the prefill is an instruction in the system text.
        warnings: What was changed or left out.
    """

    body: dict[str, Any]
    chat: Chat
    instructed: bool
    warnings: tuple[str, ...]


def translate(job: Job, target: Target) -> Translation:
    """What the Messages API is asked for a job.

    Raises:
        UpstreamError: The model does not take such a prompt; status 400.
    """
    model = target.model or job.model
    able = _able(model, target.limits)
    chat = to_chat(job.prompt)
    if not chat.turns or chat.turns[0][0] != "user":
        raise UpstreamError(
            f"prompt: the first Human turn has no text, and {model} does not answer without one",
            status=400,
        )
    warnings: list[str] = []
    instructed = False
    system = chat.system
    turns = list(chat.turns)
    if chat.prefill:
        if able.prefill:
            turns.append(("assistant", chat.prefill))
        elif target.prefill == "refuse":
            raise UpstreamError(
                f"prompt: {model} does not continue an answer that is begun for it; end the "
                'prompt with "\\n\\nAssistant:"',
                status=400,
            )
        elif target.prefill == "instruct":
            instruction = _INSTRUCTION.format(prefill=chat.prefill)
            system = f"{system}\n\n{instruction}" if system else instruction
            instructed = True
            warnings.append(f"{model} takes no prefill; it was given as an instruction")
        else:
            warnings.append(f"{model} takes no prefill; it was left out")
            chat = Chat(chat.system, chat.turns)
    most = min(job.max_tokens, able.max_output_tokens)
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": most,
        "messages": [{"role": side, "content": text} for side, text in turns],
        "stream": job.stream,
    }
    if system:
        body["system"] = system
    # White space alone is refused there; it is matched here, as all of them are.
    stops = [stop for stop in job.stop_sequences if stop.strip()]
    if stops:
        body["stop_sequences"] = stops
    if job.user_id is not None:
        body["metadata"] = {"user_id": job.user_id}
    if able.thinking == "off":
        body["thinking"] = {"type": "disabled"}
    elif able.thinking == "always":
        warnings.append(f"{model} thinks before it answers; max_tokens_to_sample counts that too")
    warnings += _sample(body, job, model, able)
    return Translation(body, chat, instructed, tuple(warnings))


def _able(model: str, limits: Limits) -> Capabilities:
    table = capabilities_of(model)
    return Capabilities(
        prefill=table.prefill if limits.prefill is None else limits.prefill,
        sampling=table.sampling if limits.sampling is None else limits.sampling,
        both=table.both if limits.both is None else limits.both,
        thinking=table.thinking,
        max_output_tokens=limits.max_output_tokens or table.max_output_tokens,
        context_tokens=table.context_tokens,
    )


def _sample(body: dict[str, Any], job: Job, model: str, able: Capabilities) -> list[str]:
    """Puts the sampling fields into a request. Returns what had to be left out."""
    asked = {"temperature": job.temperature, "top_p": job.top_p, "top_k": job.top_k}
    if job.temperature == 1.0:
        del asked["temperature"]  # The default everywhere.
    wanted = {name: value for name, value in asked.items() if value is not None}
    if not able.sampling:
        return [f"{model} takes no {name}; it was left out" for name in wanted]
    left_out = []
    if not able.both and "temperature" in wanted and "top_p" in wanted:
        del wanted["top_p"]
        left_out.append(f"{model} takes temperature or top_p, not both; top_p was left out")
    body |= wanted
    return left_out


class MessagesEngine:
    """An engine that asks a server of the Messages API.

    Args:
        address: Where it is.
        target: Who answers there.
    """

    def __init__(self, address: Address, target: Target) -> None:
        self._connection = Connection(address)
        self._target = target
        self._running = 0

    async def start(self) -> None:
        """Connects when the first job comes."""

    async def ready(self) -> str:
        """Ready at once. Whether the server answers shows when it is asked."""
        return self._target.model or self._connection.address.name

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """See `Engine.generate`."""
        asked = translate(job, self._target)
        body = json.dumps(asked.body, ensure_ascii=False, separators=(",", ":"))
        post = self._connection.post(
            "/v1/messages",
            body.encode("utf-8", "replace"),
            self._headers(job),
            forwards_key=self._target.forward_key,
        )
        self._running += 1
        try:
            async with post as answer:
                pieces = _streamed(answer, asked) if job.stream else _whole(answer, asked)
                async with aclosing(pieces):
                    async for piece in pieces:
                        yield piece
        finally:
            self._running -= 1

    def _headers(self, job: Job) -> dict[str, str]:
        headers = {"anthropic-version": API_VERSION}
        key = job.key if self._target.forward_key else self._target.key
        return headers | {"x-api-key": key} if key else headers

    async def ping(self) -> Status:
        """Always ready."""
        model = self._target.model
        return Status(True, model, "Asks a server of the Messages API.", running=self._running)

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._connection.aclose()


async def _whole(answer: Answer, asked: Translation) -> AsyncGenerator[Piece, None]:
    """The pieces of an answer that does not stream."""
    message = await answer.json()
    blocks = message.get("content")
    if message.get("type") == "error" or not isinstance(blocks, list):
        raise UpstreamError(GARBAGE, status=500, retryable=True)
    yield _accepted(message.get("model"), asked)
    texts = [block.get("text") for block in blocks if isinstance(block, dict)]
    text = "".join(text for text in texts if isinstance(text, str))
    continuation = Continuation(asked.chat, repeated=asked.instructed)
    written = continuation.push(text) + continuation.end()
    usage = message.get("usage")
    tokens = usage.get("output_tokens") if isinstance(usage, dict) else None
    yield Piece(written, tokens if isinstance(tokens, int) else 1)
    yield Piece("", finish=_finish(message.get("stop_reason")))


async def _streamed(answer: Answer, asked: Translation) -> AsyncGenerator[Piece, None]:
    """The pieces of a streamed answer: one for all events that come together."""
    events = EventSource()
    continuation = Continuation(asked.chat, repeated=asked.instructed)
    accepted = False
    reason: object = None
    async for data in answer.chunks():
        texts: list[str] = []
        failure: UpstreamError | None = None
        ended = False
        for name, content in _pushed(events, data):
            if name == "content_block_delta":
                delta = json_object(content).get("delta")
                text = delta.get("text") if isinstance(delta, dict) else None
                if isinstance(text, str):
                    texts.append(text)
            elif name == "message_start":
                message = json_object(content).get("message")
                accepted = True
                yield _accepted(message.get("model") if isinstance(message, dict) else None, asked)
            elif name == "message_delta":
                delta = json_object(content).get("delta")
                reason = delta.get("stop_reason") if isinstance(delta, dict) else None
            elif name == "message_stop":
                ended = True
            elif name == "error":
                failure = error_of_event(content)
                break
        if texts:
            if not accepted:
                raise UpstreamError(GARBAGE, status=500, retryable=True)
            written = continuation.push("".join(texts))
            if written:
                yield Piece(written, len(texts))
        if failure is not None:
            raise failure
        if ended:
            yield Piece(continuation.end(), finish=_finish(reason))
            return
    raise UpstreamError(BROKE_OFF if accepted else GARBAGE, status=500, retryable=True)


def _pushed(events: EventSource, data: bytes) -> list[Any]:
    try:
        return list(events.push(data))
    except ValueError:
        raise UpstreamError(GARBAGE, status=500, retryable=True) from None


def _accepted(model: object, asked: Translation) -> Piece:
    name = model if isinstance(model, str) else asked.body["model"]
    return Piece("", accepted=Accepted(model=name, warnings=asked.warnings))


def _finish(reason: object) -> Finish:
    """Text Completions knew two ends: the tokens ran out, or anything else."""
    return Finish.LENGTH if reason in _LENGTH_REASONS else Finish.END
