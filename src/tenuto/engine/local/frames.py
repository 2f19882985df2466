"""What crosses the boundary between the server's process and the worker's.

A frame is four bytes of length, most significant first, and a JSON array: the frame's name, then
its fields. JSON rather than pickle: nothing that arrives can run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Final, TypeAlias, get_args, get_origin, get_type_hints

from tenuto.core.job import Sampling

_LENGTH_BYTES = 4

MOST_BYTES: Final = 1 << 24
"""No sound worker sends a longer frame; the parent sends prompts, which may be longer."""


class BadFrame(ValueError):
    """What arrived is not a frame. The message is one line, and holds nothing that arrived."""


@dataclass(frozen=True, slots=True)
class Load:
    """To the worker, first of all: the model and what it may use. See `LocalSettings`."""

    path: str
    max_running: int
    max_waiting: int
    kv_cache_mib: int | None
    threads: int | None
    runtime: str = "auto"
    format: str = "auto"
    context: int | None = None
    batch_tokens: int = 512
    special_tokens_in_raw: bool = True
    prefix_cache: str = "shared"


@dataclass(frozen=True, slots=True)
class Submit:
    """To the worker: a job. `key` names it from now on. Its sampling has a seed.

    With `messages`, pairs of role and text, the model's chat template makes the text, and
    `prompt` is the beginning of the answer. `tenant` stands for the caller's key, without telling
    it; callers without a key have "".
    """

    key: int
    prompt: str
    max_tokens: int
    sampling: Sampling
    messages: list[tuple[str, str]] | None = None
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """To the worker: nobody waits for this job any more. Unknown keys are ignored."""

    key: int


@dataclass(frozen=True, slots=True)
class Ping:
    """To the worker: a `Pong` is due before the next step. See `Watchdog`."""


@dataclass(frozen=True, slots=True)
class Pong:
    """From the worker: it is between two steps.

    `progress` has a number for each activity that is under way, which changes whenever that
    activity gets on. See `Watchdog`.
    """

    progress: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """From the worker: the model is loaded.

    `context` is in tokens, `longest_token` and `kv_bytes` in bytes, `runtime` names the library,
    `chat` says whether prompts go through the model's chat template, and `note` is a sentence for
    the log, or "". `most_logprobs` is the runtime's: see `Runtime`. `warnings` say what is odd
    about the model, for the log.
    """

    context: int
    longest_token: int
    kv_blocks: int
    kv_bytes: int
    threads: int
    runtime: str
    chat: bool
    note: str
    most_logprobs: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """From the worker: the model cannot be loaded; the worker ends."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """From the worker: it begins to turn the job's prompt into tokens, or puts that off."""

    key: int
    begins: bool = True


@dataclass(frozen=True, slots=True)
class Began:
    """From the worker: it hands the job to the runtime."""

    key: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """From the worker: the job runs, or waits for its place. Its prompt has so many tokens."""

    key: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Cached:
    """From the worker: so many tokens of the job's prompt were found in a cache."""

    key: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Scored:
    """From the worker, before the text of theirs: the log probabilities of some tokens of a job.

    `tokens` holds the fields of `tenuto.core.job.TokenLogprob`; having crossed, each is a list.
    """

    key: int
    tokens: list[tuple[str, int, int, float | None, dict[str, float]]]


@dataclass(frozen=True, slots=True)
class TooLong:
    """From the worker: the job is refused, its prompt has more tokens than `limit`."""

    key: int
    tokens: int
    limit: int


@dataclass(frozen=True, slots=True)
class Refused:
    """From the worker: the job is refused, as the model cannot be given its prompt."""

    key: int
    reason: str


@dataclass(frozen=True, slots=True)
class Full:
    """From the worker: the job is refused, there is no place left to wait in."""

    key: int


@dataclass(frozen=True, slots=True)
class Broke:
    """From the worker: this one job failed; the others go on."""

    key: int
    reason: str


@dataclass(frozen=True, slots=True)
class Wrote:
    """From the worker: what one step wrote, for all jobs at once.

    `pieces` holds (key, text, tokens, finish), where finish is "end", "length" or None; having
    crossed, each is a list.
    """

    pieces: list[tuple[int, str, int, str | None]]


@dataclass(frozen=True, slots=True)
class Counters:
    """From the worker, whenever they change: jobs running and waiting, KV blocks reserved."""

    running: int
    waiting: int
    kv_blocks_reserved: int


Frame: TypeAlias = (
    Load
    | Submit
    | Cancel
    | Ping
    | Pong
    | Loaded
    | NotLoaded
    | Reading
    | Began
    | Accepted
    | Cached
    | Scored
    | TooLong
    | Refused
    | Full
    | Broke
    | Wrote
    | Counters
)

_FRAMES: dict[str, type[Frame]] = {
    frame.__name__: frame
    for frame in (
        Load,
        Submit,
        Cancel,
        Ping,
        Pong,
        Loaded,
        NotLoaded,
        Reading,
        Began,
        Accepted,
        Cached,
        Scored,
        TooLong,
        Refused,
        Full,
        Broke,
        Wrote,
        Counters,
    )
}
_FIELDS = {frame: tuple(field.name for field in fields(frame)) for frame in _FRAMES.values()}
# Fields that are data classes themselves, which cross as lists.
_NESTED: dict[type[Frame], dict[str, Callable[..., Any]]] = {Submit: {"sampling": Sampling}}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A frame as bytes, in parts."""

    parts: tuple[bytes, ...]

    @classmethod
    def of(cls, body: Sequence[bytes]) -> Encoded:
        """Put the length before the parts of a frame's JSON."""
        length = sum(map(len, body)).to_bytes(_LENGTH_BYTES, "big")
        return cls((length, *body))


def named_values(frame: Frame) -> dict[str, Any]:
    """Return the fields of a frame in their order, as they cross in JSON."""
    values = {name: getattr(frame, name) for name in _FIELDS[type(frame)]}
    for name in _NESTED.get(type(frame), ()):
        values[name] = astuple(values[name])
    return values


def encode(frame: Frame) -> bytes:
    """A frame as bytes."""
    kind = type(frame)
    values = named_values(frame).values()
    body = json.dumps([kind.__name__, *values], separators=(",", ":")).encode()
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class FrameReader:
    """Bytes in, frames out, however the bytes are cut.

    Args:
        most_bytes: The longest frame that is read; None for any.
    """

    def __init__(self, most_bytes: int | None = None) -> None:
        self._most_bytes = most_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Takes the next bytes, gives the frames that are now complete.

        Raises:
            BadFrame: They are none. Nothing more can be read after it.
        """
        self._buffer += data
        frames: list[Frame] = []
        start = 0
        while len(self._buffer) - start >= _LENGTH_BYTES:
            body = start + _LENGTH_BYTES
            length = int.from_bytes(self._buffer[start:body], "big")
            if self._most_bytes is not None and length > self._most_bytes:
                raise BadFrame(f"a frame of {length} bytes")
            end = body + length
            if len(self._buffer) < end:
                break
            frames.append(_decode(self._buffer[body:end]))
            start = end
        del self._buffer[:start]
        return frames


def _decode(body: bytearray) -> Frame:
    try:
        parts = json.loads(body)
    except (ValueError, RecursionError):
        raise BadFrame("a frame that is not JSON") from None
    kind = (
        _FRAMES.get(parts[0]) if isinstance(parts, list) and parts and _is_str(parts[0]) else None
    )
    if kind is None:
        raise BadFrame("a frame of no known kind")
    values, checks = parts[1:], _CHECKS[kind]
    if len(values) != len(checks):
        raise BadFrame(f"{kind.__name__} with {len(values)} fields")
    for (name, check), value in zip(checks, values, strict=True):
        if not check(value):
            raise BadFrame(f"{kind.__name__} with a wrong {name}")
    for name, made in _NESTED.get(kind, {}).items():
        index = _FIELDS[kind].index(name)
        values[index] = made(*values[index])
    return kind(*values)


_Check: TypeAlias = Callable[[Any], bool]


def _is_str(value: object) -> bool:
    return type(value) is str


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _check_of(hint: Any) -> _Check:
    """What tells a value of a type, as it is after crossing in JSON."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        checks = [_check_of(each) for each in arguments]
        return lambda value: any(check(value) for check in checks)
    if origin is tuple:
        return _check_of_each(arguments)
    if origin is list:
        of_item = _check_of(arguments[0])
        return lambda value: type(value) is list and all(map(of_item, value))
    if origin in (dict, Mapping):
        of_value = _check_of(arguments[1])
        return lambda value: type(value) is dict and all(map(of_value, value.values()))
    if hint is float:
        return _is_number
    if is_dataclass(hint):
        nested = get_type_hints(hint)
        return _check_of_each([nested[field.name] for field in fields(hint)])
    assert hint in (int, str, bool, NoneType)
    return lambda value: type(value) is hint


def _check_of_each(hints: Sequence[Any]) -> _Check:
    checks = [_check_of(hint) for hint in hints]
    return lambda value: (
        type(value) is list
        and len(value) == len(checks)
        and all(check(each) for check, each in zip(checks, value, strict=True))
    )


def _checks_of(kind: type[Frame]) -> tuple[tuple[str, _Check], ...]:
    hints = get_type_hints(kind)
    return tuple((name, _check_of(hints[name])) for name in _FIELDS[kind])


def _are_pieces(value: Any) -> bool:
    """As `_check_of` would have it, in a tenth of the time: one comes with every step."""
    if type(value) is not list:
        return False
    for piece in value:
        if type(piece) is not list or len(piece) != 4:
            return False
        key, text, tokens, finish = piece
        if type(key) is not int or type(text) is not str or type(tokens) is not int:
            return False
        if finish is not None and finish not in ("end", "length"):
            return False
    return True


_CHECKS = {kind: _checks_of(kind) for kind in _FRAMES.values()} | {
    Wrote: (("pieces", _are_pieces),)
}
