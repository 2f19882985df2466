"""The comparison of two answers, and its line in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum, auto
from functools import lru_cache
from typing import Final

from pydantic_core import to_json

from tenuto.compare.answer import LEFT, TOO_LONG, Answer, is_json
from tenuto.compare.keys import without_keys
from tenuto.compare.similarity import likeness

VERSION: Final = 1
"""The version of the lines, their field `v`."""

_CUT: Final = (LEFT, TOO_LONG)


class Purpose(StrEnum):
    """The second answer of a comparison."""

    SHADOW = auto()
    """Of the upstream that is compared."""
    NOISE = auto()
    """Of the upstream that gave the first one."""


@dataclass(slots=True)
class Pair:
    """Two answers to one request.

    Attributes:
        id: The request's id.
        at: Its time, in seconds since 1970.
        purpose: The second answer.
        requested: The model in the request.
        a: The answer that the caller got.
        b: The second answer.
        to: The upstream that was to give the second one, `NAME` or `NAME:MODEL`.
        prefill: The beginning of the answer in the prompt, "" for none.
        prompt: The prompt, if texts are kept, else None.
        spent: Tokens of copies since the beginning of the day.
        key: The caller's key, which is taken out of kept texts. Never written.
    """

    id: str
    at: float
    purpose: Purpose
    requested: str
    a: Answer
    b: Answer
    to: str = ""
    prefill: str = ""
    prompt: str | None = None
    spent: int = 0
    key: str | None = field(default=None, repr=False)


def line_of(pair: Pair) -> str:
    """Return the line of a comparison, without a line end.

    Without `prompt` it holds numbers and names only: neither texts nor stop sequences. Keys in the
    texts are replaced.
    """
    # By hand, at half of the cost of a dictionary and its JSON.
    a, b = pair.a, pair.b
    line = (
        f'{{"v":{VERSION},"id":{_text(pair.id)},"at":"{_time(pair.at)}",'
        f'"purpose":"{pair.purpose.value}","requested":{_name(pair.requested)},'
        f'"a":{_answer(a, pair.prefill)},"b":{_answer(b, pair.prefill)},"to":{_name(pair.to)}'
    )
    if not (a.error or b.error):
        line += _differences(a, b)
    if pair.spent:
        line += f',"spent":{pair.spent}'
    if pair.prompt is not None:
        texts = (pair.prompt, a.text, b.text)
        prompt, first, second = (_text(without_keys(text, pair.key)) for text in texts)
        line += f',"texts":{{"prompt":{prompt},"a":{first},"b":{second}}}'
    return line + "}"


def _text(text: str) -> str:
    try:
        return to_json(text).decode()
    except ValueError:
        # Half of a surrogate pair, which UTF-8 cannot express.
        return json.dumps(text)


# Nearly always the same few.
_name: Final = lru_cache(maxsize=256)(_text)


@lru_cache(maxsize=256)
def _names(upstream: str, model: str, end: str, error: str) -> str:
    """Return the beginning of an answer as JSON."""
    fields = f'{{"upstream":{_text(upstream)},"model":{_text(model)}'
    if end:
        fields += f',"end":"{end}"'
    return fields + (f',"error":"{error}"' if error else "")


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _time(at: float) -> str:
    ms = int(at * 1000)
    return f"{_second(ms // 1000)}.{ms % 1000:03}+00:00"


def _answer(answer: Answer, prefill: str) -> str:
    """Return an answer as JSON. Unknown fields are missing."""
    end, error, first_ms = answer.end, answer.error, answer.first_ms
    names = _names(answer.upstream, answer.model, end, error)
    chars = "" if error in _CUT else f',"chars":{len(answer.text)}'
    first = "" if first_ms is None else f',"first_ms":{first_ms:.1f}'
    fields = f'{names}{chars}{first},"total_ms":{answer.total_ms:.1f}'
    if answer.input_tokens is not None:
        fields += f',"input_tokens":{answer.input_tokens}'
    if answer.output_tokens is not None:
        fields += f',"output_tokens":{answer.output_tokens}'
    if answer.cost is not None:
        fields += f',"cost":{answer.cost!r}'
    if end and is_json(answer.text, prefill):
        fields += ',"json":true'
    if answer.warnings:
        fields += f',"warnings":[{",".join(map(_text, answer.warnings))}]'
    return fields + "}"


def _differences(a: Answer, b: Answer) -> str:
    same_end = _bool((a.end, a.stop) == (b.end, b.stop))
    if a.text == b.text:
        return (
            f',"exact":true,"normalised":true,"length":1.0,"similarity":1.0,"same_end":{same_end}'
        )
    normalised, similarity = likeness(a.text, b.text)
    length = f"{len(b.text) / len(a.text):.3f}" if a.text else "null"
    return (
        f',"exact":false,"normalised":{_bool(normalised)},"length":{length},'
        f'"similarity":{similarity:.4f},"same_end":{same_end}'
    )


def _bool(value: bool) -> str:
    return "true" if value else "false"
