"""Responses of the Messages API, in the documented shapes."""

from __future__ import annotations

from typing import Any

from tests.engine.upstream.scripted import Step, event, stream, whole

REQUEST_ID = "req_011CUpstream"


def message(
    text: str, reason: str = "end_turn", stop: str | None = None, **fields: Any
) -> list[Step]:
    """A whole message."""
    return whole(
        {
            "id": "msg_01",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5-20251001",
            "content": [{"type": "text", "text": text}],
            "stop_reason": reason,
            "stop_sequence": stop,
            "usage": {"input_tokens": 9, "output_tokens": 3},
        }
        | fields,
        request_id=REQUEST_ID,
    )


START = event(
    "message_start",
    message={
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    },
) + event("content_block_start", index=0, content_block={"type": "text", "text": ""})


def delta(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def end(reason: str = "end_turn", stop: str | None = None) -> bytes:
    return (
        event("content_block_stop", index=0)
        + event(
            "message_delta",
            delta={"stop_reason": reason, "stop_sequence": stop},
            usage={"output_tokens": 3},
        )
        + event("message_stop")
    )


def streamed(*texts: str, reason: str = "end_turn", stop: str | None = None) -> list[Step]:
    """A message as a stream: each text is an event of its own."""
    return stream(START, event("ping"), *map(delta, texts), end(reason, stop))


def answer(text: str, *, as_stream: bool, **fields: Any) -> list[Step]:
    """The same message either way; streamed, it comes in three events."""
    if not as_stream:
        return message(text, **fields)
    third = max(1, len(text) // 3)
    parts = [text[:third], text[third : 2 * third], text[2 * third :]]
    return streamed(*filter(None, parts), **fields)


def error(status: int, kind: str, message: str, **headers: str) -> list[Step]:
    """A refusal, in the documented envelope."""
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": REQUEST_ID}
    return whole(body, status, request_id=REQUEST_ID, **headers)


def error_event(kind: str, message: str) -> bytes:
    return event("error", error={"type": kind, "message": message})
