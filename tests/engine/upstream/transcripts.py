r"""Real responses of servers, byte for byte, to test and to mutate.

Each is the answer to a prompt of one Human turn without stop sequences, and says what a caller
of Text Completions must see of it. The forms are those of each server's documents or source.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["messages", "openai", "tenuto"]


@dataclass(frozen=True)
class Transcript:
    """One answer.

    Attributes:
        name: The server and the case.
        kind: The upstream's `kind` that asks for such an answer.
        streamed: Whether the request asks for a stream.
        body: The body, without its transfer encoding.
        text: The completion that a caller must see; None for an error.
        reason: Its `stop_reason`.
        chat: Whether the upstream has `chat = true`.
        status: Of the response.
        headers: Of the response, besides those of the transfer.
        usage: Tokens of the prompt and of the completion, as far as the body has them.
    """

    name: str
    kind: Kind
    streamed: bool
    body: bytes
    text: str | None
    reason: str = "stop_sequence"
    chat: bool = False
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    usage: tuple[int | None, int | None] = (None, None)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _data(*values: object, done: bool = True, end: str = "\n\n") -> bytes:
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return "".join(f"data: {text}{end}" for text in texts + ["[DONE]"] * done).encode()


def _events(*values: dict[str, Any], end: str = "\n\n", space: str = " ") -> bytes:
    lines = end[: len(end) // 2]
    return "".join(
        f"event:{space}{value['type']}{lines}data:{space}{json.dumps(value)}{end}"
        for value in values
    ).encode()


_MESSAGE: dict[str, Any] = {
    "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {
        "input_tokens": 9,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
        "service_tier": "standard",
    },
}


def _text_delta(text: str) -> dict[str, Any]:
    return {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
    }


_BLOCK = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "text", "text": ""},
}


def _message_end(reason: str | None, stop: str | None = None) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": stop},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]


def _claude(text: str, reason: str | None = "end_turn", **fields: Any) -> bytes:
    blocks = [{"type": "text", "text": text}]
    usage = {"usage": {"input_tokens": 9, "output_tokens": 5}}
    return _json(_MESSAGE | {"content": blocks, "stop_reason": reason} | usage | fields)


def _claude_stream(*texts: str, reason: str | None = "end_turn", **form: str) -> bytes:
    start = {"type": "message_start", "message": _MESSAGE}
    deltas = [_text_delta(text) for text in texts]
    return _events(start, _BLOCK, {"type": "ping"}, *deltas, *_message_end(reason), **form)


_MESSAGES = [
    Transcript("Claude", "messages", False, _claude("Hello! 👋"), " Hello! 👋", usage=(9, 5)),
    Transcript(
        *("Claude, out of tokens", "messages", False),
        *(_claude("Hel", "max_tokens"), " Hel", "max_tokens"),
        usage=(9, 5),
    ),
    Transcript(
        *("Claude, thoughts before the text", "messages", False),
        _claude(
            "",
            content=[
                {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
                {"type": "text", "text": "Hello"},
            ],
        ),
        " Hello",
        usage=(9, 5),
    ),
    Transcript(
        *("Claude", "messages", True, _claude_stream("Hel", "lo", "! 👋"), " Hello! 👋"),
        usage=(9, 5),
    ),
    Transcript(
        *("Claude, CRLF and no blanks", "messages", True),
        *(_claude_stream("Hel", "lo", end="\r\n\r\n", space=""), " Hello"),
        usage=(9, 5),
    ),
    Transcript(
        *("Claude, an error event", "messages", True),
        _events(
            {"type": "message_start", "message": _MESSAGE},
            _BLOCK,
            _text_delta("Hel"),
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ),
        None,
    ),
    Transcript(
        *("Claude, refused", "messages", False),
        _json(
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "max_tokens: 100000 > 64000, which is the maximum allowed number of "
                    "output tokens for claude-haiku-4-5-20251001",
                },
                "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
            }
        ),
        None,
        status=400,
    ),
]


_CHAT: dict[str, Any] = {
    "id": "chatcmpl-BqLQ5z",
    "object": "chat.completion.chunk",
    "created": 1751234567,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "system_fingerprint": "fp_34a54ae93c",
}
_USAGE: dict[str, Any] = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}


def _chunk(delta: object, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return _CHAT | {"choices": [choice]} | fields


def _chat(content: object, reason: str | None = "stop", **fields: Any) -> bytes:
    message = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    whole = {"object": "chat.completion", "choices": [choice], "usage": _USAGE}
    return _json(_CHAT | whole | fields)


_TEXT: dict[str, Any] = {
    "id": "cmpl-8d2e",
    "object": "text_completion",
    "created": 1751234567,
    "model": "Qwen/Qwen2.5-0.5B",
}


def _part(text: object, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
    return _TEXT | {"choices": [choice | {"stop_reason": None}]} | fields


_ROLE = {"role": "assistant", "content": ""}
_THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}

_OPENAI = [
    Transcript(
        *("vLLM, text", "openai", False, _json(_part(" Hello", "stop", usage=_USAGE)), " Hello"),
        usage=(9, 5),
    ),
    Transcript(
        *("vLLM, text", "openai", True),
        _data(
            _part(" Hel", usage=None),
            _part("lo", usage=None),
            _part("", "length", usage=None),
            _TEXT | {"choices": [], "usage": _USAGE},
        ),
        *(" Hello", "max_tokens"),
        usage=(9, 5),
    ),
    Transcript(
        *("OpenAI, chat", "openai", False, _chat("Hello! 👋"), " Hello! 👋"),
        chat=True,
        usage=(9, 5),
    ),
    Transcript(
        *("OpenAI, chat", "openai", True),
        _data(
            _chunk(_ROLE | {"refusal": None}, usage=None),
            _chunk({"content": "Hel"}, usage=None),
            _chunk({"content": "lo"}, usage=None),
            _chunk({}, "stop", usage=None),
            _CHAT | {"choices": [], "usage": _USAGE},
        ),
        " Hello",
        chat=True,
        usage=(9, 5),
    ),
    Transcript(
        *("llama.cpp, chat", "openai", True),
        _data(
            _chunk({"role": "assistant", "content": None}),
            _chunk({"content": "Hello"}),
            _chunk({}, "stop", timings={"prompt_n": 9, "predicted_n": 5}),
            _CHAT | {"choices": [], "usage": _USAGE, "timings": {"prompt_n": 9}},
        ),
        " Hello",
        chat=True,
        usage=(9, 5),
    ),
    Transcript(
        *("Ollama, chat, usage with the reason", "openai", True),
        _data(
            _chunk({"role": "assistant", "content": "Hel"}),
            _chunk({"role": "assistant", "content": "lo"}),
            _chunk({"role": "assistant", "content": ""}, "stop", usage=_USAGE),
        ),
        " Hello",
        chat=True,
        usage=(9, 5),
    ),
    Transcript(
        *("an empty reason in each chunk", "openai", True),
        _data(_chunk(_ROLE, ""), _chunk({"content": "Hel"}, ""), _chunk({"content": "lo"}, "stop")),
        " Hello",
        chat=True,
    ),
    Transcript(
        *("an empty reason to the end", "openai", True),
        _data(_chunk({"content": "Hel"}, ""), _chunk({"content": "lo"}, "")),
        " Hello",
        chat=True,
    ),
    Transcript(
        *("Gemini, no reason before the end", "openai", True),
        _data(_chunk({"content": "Hello"}), _chunk({"content": None})),
        " Hello",
        chat=True,
    ),
    Transcript(
        *("OpenRouter, comments", "openai", True),
        b": OPENROUTER PROCESSING\n\n" * 3
        + _data(_chunk({"content": "Hello"}), _chunk({"content": ""}, "stop", usage=_USAGE)),
        " Hello",
        chat=True,
        usage=(9, 5),
    ),
    Transcript(
        *("OpenRouter, an error with status 200", "openai", False),
        _json({"error": {"message": "Provider returned error", "code": 502}, "user_id": "u_1"}),
        None,
        chat=True,
    ),
    Transcript(
        *("OpenRouter, an error in the middle", "openai", True),
        _data(
            _chunk({"content": "Hel"}),
            _chunk(
                {"content": ""},
                "error",
                error={"code": "server_error", "message": "Provider disconnected"},
            ),
        ),
        None,
        chat=True,
    ),
    Transcript(
        *("Mistral, content in parts", "openai", False),
        _chat([_THOUGHT, {"type": "text", "text": "Hello"}]),
        " Hello",
        chat=True,
        usage=(9, 5),
    ),
    Transcript(
        *("Mistral, content in parts", "openai", True),
        _data(
            _chunk({"content": [_THOUGHT]}),
            _chunk({"content": [{"type": "text", "text": "Hel"}]}),
            _chunk({"content": "lo"}, "stop", usage=_USAGE),
        ),
        " Hello",
        chat=True,
        usage=(9, 5),
    ),
    Transcript(
        *("a server that does not stream", "openai", True, _chat("Hello"), " Hello"),
        chat=True,
        headers={"content-type": "application/json"},
        usage=(9, 5),
    ),
    Transcript(
        *("a server that does not stream, and says that it is done", "openai", True),
        *(_chat("Hello") + b"data: [DONE]\n\n", " Hello"),
        chat=True,
        headers={"content-type": "application/json"},
        usage=(9, 5),
    ),
    Transcript(
        *("a server that always streams", "openai", False),
        *(_data(_part(" Hel"), _part("lo", "stop")), " Hello"),
    ),
    Transcript(
        *("a character in two halves", "openai", True),
        _data(_part(" Hi \ud83d"), _part("\ude00"), _part("", "stop")),
        " Hi 😀",
    ),
    Transcript(
        *("the last event without a blank line", "openai", True),
        *(_data(_part(" Hel"), _part("lo", "stop"), done=False).rstrip(b"\n"), " Hello"),
    ),
    Transcript(
        *("vLLM, too many tokens", "openai", False),
        _json(
            {
                "error": {
                    "message": "'max_tokens' or 'max_completion_tokens' is too large: 100000. This "
                    "model's maximum context length is 4096 tokens and your request has 10 input "
                    "tokens (100000 > 4096 - 10). None",
                    "type": "BadRequestError",
                    "param": None,
                    "code": 400,
                }
            }
        ),
        None,
        status=400,
    ),
    Transcript(
        *("TGI, top_p", "openai", False),
        _json(
            {
                "error": "Input validation error: `top_p` must be > 0.0 and < 1.0",
                "error_type": "validation",
            }
        ),
        None,
        status=422,
    ),
    Transcript(
        *("nginx, no server", "openai", False),
        b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad "
        b"Gateway</h1></center>\r\n<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>\r\n",
        None,
        status=502,
        headers={"content-type": "text/html"},
    ),
]


def _completion(text: str, reason: str | None = None, stop: str | None = None) -> dict[str, Any]:
    return {
        "type": "completion",
        "id": "compl_01FsmVzVUpPbTXFuUsBDXYSM",
        "completion": text,
        "stop_reason": reason,
        "model": "tenuto-mini",
        "stop": stop,
        "log_id": "compl_01FsmVzVUpPbTXFuUsBDXYSM",
    }


_TENUTO = [
    Transcript(
        *("Tenuto", "tenuto", False),
        *(_json(_completion(" Hello", "stop_sequence", "\n\nHuman:")), " Hello"),
    ),
    Transcript(
        *("Tenuto", "tenuto", True),
        _events(
            {"type": "ping"},
            _completion(" Hel"),
            _completion("lo"),
            _completion("", "stop_sequence", "\n\nHuman:"),
        ),
        " Hello",
    ),
    Transcript(
        *("Tenuto, out of tokens", "tenuto", True),
        *(_events(_completion(" Hel"), _completion("", "max_tokens")), " Hel", "max_tokens"),
    ),
    Transcript(
        *("Tenuto, an error event", "tenuto", True),
        _events(
            _completion(" Hel"),
            {"type": "error", "error": {"type": "api_error", "message": "The engine broke."}},
        ),
        None,
    ),
    Transcript(
        *("Tenuto, refused", "tenuto", False),
        _json(
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "prompt is too long: 5000 tokens > 2048 maximum",
                },
                "request_id": "req_01FsmVzVUpPbTXFuUsBDXYSM",
            }
        ),
        None,
        status=400,
    ),
]

TRANSCRIPTS: tuple[Transcript, ...] = (*_MESSAGES, *_OPENAI, *_TENUTO)
