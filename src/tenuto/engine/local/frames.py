"""What crosses the boundary between the server's process and the worker's.

A frame is four bytes of length, most significant first, and a JSON array: the frame's name, then
its fields. JSON rather than pickle: nothing that arrives can run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TypeAlias

_LENGTH_BYTES = 4


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


@dataclass(frozen=True, slots=True)
class Submit:
    """To the worker: a job. `key` names it from now on. `seed` is always given.

    With `messages`, pairs of role and text, the model's chat template makes the text, and
    `prompt` is the beginning of the answer.
    """

    key: int
    prompt: str
    max_tokens: int
    temperature: float
    top_p: float | None
    top_k: int | None
    seed: int
    messages: list[tuple[str, str]] | None = None
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """To the worker: nobody waits for this job any more. Unknown keys are ignored."""

    key: int


@dataclass(frozen=True, slots=True)
class Ping:
    """To the worker: a `Pong` is due before the next step. See `Watchdog`."""


@dataclass(frozen=True, slots=True)
class Pong:
    """From the worker: it is between two steps."""


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

    `tokens` holds what a `tenuto.engine.base.TokenLogprob` does; having crossed, each is a list.
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
    """From the worker: the job is refused, the model's chat template does not take its turns."""

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


def encode(frame: Frame) -> bytes:
    """A frame as bytes."""
    kind = type(frame)
    values = [getattr(frame, name) for name in _FIELDS[kind]]
    body = json.dumps([kind.__name__, *values], separators=(",", ":")).encode()
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class FrameReader:
    """Bytes in, frames out, however the bytes are cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Takes the next bytes, gives the frames that are now complete."""
        self._buffer += data
        frames: list[Frame] = []
        start = 0
        while len(self._buffer) - start >= _LENGTH_BYTES:
            body = start + _LENGTH_BYTES
            end = body + int.from_bytes(self._buffer[start:body], "big")
            if len(self._buffer) < end:
                break
            name, *values = json.loads(self._buffer[body:end])
            frames.append(_FRAMES[name](*values))
            start = end
        del self._buffer[:start]
        return frames
