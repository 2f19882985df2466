"""Bodies of any size, in every shape that a limit or a parser may meet."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20
LARGEST_BODY = 32 * MIB
PACKET = 64 * 1024


@dataclass(frozen=True)
class Shape:
    """A kind of body, of any size.

    Attributes:
        head: How it begins.
        unit: What is repeated.
        tail: How it ends.
        status: Of the answer.
        version: Of the API.
        packet: How many bytes arrive at once.
    """

    head: bytes
    unit: bytes
    tail: bytes
    status: int = 400
    version: str = "2023-06-01"
    packet: int = PACKET

    def body(self, size: int) -> bytes:
        room = size - len(self.head) - len(self.tail)
        return self.head + self.unit * (room // len(self.unit)) + self.tail


_FIELDS = b'{"model":"m","max_tokens_to_sample":3,"prompt":'
# So many words that the answer ends before what is repeated.
_BEGIN = _FIELDS + rb'"\n\nHuman: one two three '
_END = rb'\n\nAssistant:"}'
_SMALL = b'{"model":"m","max_tokens_to_sample":3,"prompt":"\\n\\nHuman: Hi\\n\\nAssistant:",'


def _prompt(unit: bytes, *, before: bytes = b"", end: bytes = _END, status: int = 200) -> Shape:
    return Shape(_BEGIN + before, unit, end, status)


def _field(name: bytes, opening: bytes, unit: bytes, closing: bytes) -> Shape:
    return Shape(_SMALL + b'"' + name + b'":' + opening, unit, closing + b"}")


_EMOJI = "😀".encode()

SHAPES: dict[str, Shape] = {
    "prompt, letters": _prompt(b"a"),
    "prompt, words": _prompt(b"word "),
    "prompt, one emoji among letters": _prompt(b"a", before=_EMOJI),
    "prompt, one emoji in each 64 KiB": _prompt(b"a" * 65_000 + _EMOJI),
    "prompt, two-byte letters": _prompt("я".encode()),
    "prompt, mixed widths": _prompt("aя".encode()),
    "prompt, emoji": _prompt(_EMOJI),
    "prompt, escaped letters": _prompt(rb"\u0041"),
    "prompt, escaped emoji": _prompt(rb"\ud83d\ude00"),
    "prompt, quotes": _prompt(rb"\""),
    "prompt, backslashes": _prompt(rb"\\"),
    "prompt, control characters": _prompt(rb"\u0000"),
    "prompt, newlines": _prompt(rb"\n"),
    "prompt, carriage returns": _prompt(rb"\r"),
    "prompt, line ends of Windows": _prompt(rb"\r\n"),
    "prompt, escaped line ends": _prompt(rb"\u000d\u000a"),
    "prompt, spaces": _prompt(b" "),
    "prompt, spaces at the end": Shape(_BEGIN + rb"\n\nAssistant:", b" ", b'"}', 200),
    "prompt, half-turns": _prompt(rb"\nHuman:"),
    "prompt, colons": _prompt(b"Human:"),
    "prompt, all in one packet": Shape(_BEGIN, b"word ", _END, 200, packet=LARGEST_BODY),
    "prompt, in small packets": Shape(_BEGIN, b"word ", _END, 200, packet=1500),
    "prompt, marks only": _prompt(rb"\n\nHuman:", status=400),
    "prompt, short turns": _prompt(rb"\n\nAssistant: b\n\nHuman: a", status=400),
    "prompt, no turns": Shape(_FIELDS + b'"', b"word ", b'"}'),
    "prompt, no last turn": _prompt(b"word ", end=b'"}', status=400),
    "prompt, half surrogates": _prompt(rb"\ud83d", status=400),
    "prompt, other halves": _prompt(rb"\ude00\ud83d", status=400),
    "prompt, a list": Shape(_FIELDS + b"[", b'"a",', b"0]}"),
    "prompt, an object": Shape(_FIELDS + b"{", b'"a":0,', b'"b":0}}'),
    "prompt, many times": Shape(_SMALL, b'"prompt":"' + b"a" * 20_000 + b'",', b'"top_k":1}'),
    "prompt, never ends": _prompt(b"a", end=b"", status=400),
    "prompt, a control character": _prompt(b"a", end=b'\n"}', status=400),
    "prompt, no UTF-8": _prompt(b"a", end=b'\xff"}', status=400),
    "prompt, half an escape": _prompt(b"a", end=rb"\u12", status=400),
    "model": _field(b"model", b'"', b"m", b'"'),
    "model, a list": _field(b"model", b"[", b"[],", b"0]"),
    "stop_sequences, short": _field(b"stop_sequences", b"[", b'"a",', b'"a"]'),
    "stop_sequences, one": _field(b"stop_sequences", b'["', b"a", b'"]'),
    "stop_sequences, long": _field(b"stop_sequences", b"[", b'"' + b"a" * 4096 + b'",', b'"a"]'),
    "stop_sequences, empty": _field(b"stop_sequences", b"[", b'"",', b'""]'),
    "stop_sequences, numbers": _field(b"stop_sequences", b"[", b"1,", b"1]"),
    "stop_sequences, lists": _field(b"stop_sequences", b"[", b"[],", b"[]]"),
    "stop_sequences, objects": _field(b"stop_sequences", b"[", b"{},", b"{}]"),
    "stop_sequences, nulls": _field(b"stop_sequences", b"[", b"null,", b"null]"),
    "stop_sequences, a text": _field(b"stop_sequences", b'"', b"a", b'"'),
    "metadata": _field(b"metadata", b'{"user_id":"', b"u", b'"}'),
    "metadata, unknown": _field(b"metadata", b"{", b'"":0,', b'"a":0}'),
    "tags": Shape(_SMALL + b'"tags":{', b'"":"",', b'"a":"b"}}', version="2023-01-01"),
    "temperature, digits": _field(b"temperature", b"0.", b"1", b""),
    "top_k, digits": _field(b"top_k", b"", b"9", b""),
    "stream, a list": _field(b"stream", b"[", b"0.5,", b"0]"),
    "unknown fields": Shape(_SMALL, b'"":0,', b'"b":0}'),
    "unknown field, long name": Shape(_SMALL + b'"', b"k", b'":0}'),
    "unknown field, escaped name": Shape(_SMALL + b'"', rb"\ud83d", b'":0}'),
    "unknown field, nested": _field(b"foo", b"[", b"[[]],", b"0]"),
    "deep lists": _field(b"foo", b"", b"[", b""),
    "deep objects": _field(b"foo", b"", b'{"a":', b""),
    "white space": Shape(_SMALL, b" \n", b'"top_k":1}', 200),
    "white space around a value": Shape(_SMALL + b'"top_k":1', b"\t", b"}", 200),
    "nothing but a number": Shape(b"", b"9", b""),
    "nothing but brackets": Shape(b"", b"[", b""),
    "nothing but quotes": Shape(b"", b'"', b""),
    "nothing but backslashes": Shape(b"", b"\\", b""),
    "nothing but zeros": Shape(b"", b"\0", b""),
}
