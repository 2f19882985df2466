"""The child's side: the step loop.

    python -m tenuto.engine.local.worker FD

FD is this end of a socket pair. One thread does everything, in turns: take what has come in, let
jobs join, write one step, send what it wrote. The runtime's step keeps Python's lock, so a
second thread would only wait for it. Long prompts alone are tokenised by another, whose work needs
no lock.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import select
import signal
import socket
import sys
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tenuto.core.job import Sampling
from tenuto.engine.local import frames, model_file
from tenuto.engine.local.admission import Admission, Waiting
from tenuto.engine.local.chat import ChatTemplate, template_of
from tenuto.engine.local.choose import computes_numbers, load_runtime
from tenuto.engine.local.gguf import ModelFileError
from tenuto.engine.local.prefixes import Prefixes
from tenuto.engine.local.runtime import (
    CannotLoad,
    Delta,
    Runtime,
    RuntimeOptions,
    ScoredToken,
    TextRefused,
)
from tenuto.engine.local.sandbox import TemplateRefused, one_line
from tenuto.engine.local.special import RenderedPrompt, SpecialTokens
from tenuto.engine.local.text_stream import PlacedTextStream, TextStream, token_text
from tenuto.engine.local.tokenising import Tokenising

_READ_BYTES = 1 << 18
# Between two steps, so that a flood of requests does not keep the running ones waiting.
_MOST_READS = 16
_PR_SET_PDEATHSIG = 1

# A prompt of more bytes is tokenised apart: it takes longer than a step of a small model.
_LONG_BYTES = 1 << 14

_DAMAGED = (
    "the model's probabilities are not numbers (NaN), because its weights are damaged; download it "
    "again"
)


class ParentGone(Exception):
    """The other end of the socket is closed: nobody is left to write for."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that is tokenised and fits."""

    tokens: list[int]
    max_tokens: int
    sampling: Sampling
    text: TextStream
    tenant: str = ""


class Worker:
    """Serves one parent with one loaded model."""

    def __init__(
        self,
        link: socket.socket,
        reader: frames.FrameReader,
        load: frames.Load,
        runtime: Runtime,
        template: ChatTemplate | None = None,
        special: SpecialTokens | None = None,
        damage: str = "",
    ) -> None:
        self._link = link
        # Two threads send: the one that steps, and the one that tokenises.
        self._sending = threading.Lock()
        self._reader = reader
        self._runtime = runtime
        self._template = template
        self._special = special
        # Why all jobs fail, or "".
        self._damage = damage
        self._admission: Admission[Prepared] = Admission(
            runtime.kv_blocks, load.max_running, load.max_waiting
        )
        self._max_waiting = load.max_waiting
        # In a text without turns, all text may be control tokens, or none.
        self._raw_control = None if load.special_tokens_in_raw else ()
        self._tokenising: Tokenising[frames.Submit] = Tokenising(
            self._encode, lambda key: self._send(frames.Reading(key))
        )
        self._prefixes = Prefixes(runtime.block_tokens)
        # Admitted, and held until another has computed what they share.
        self._held: dict[int, Prepared] = {}
        self._streams: dict[int, TextStream] = {}
        # Cancelled jobs keep their reservation until the runtime has taken a step without them.
        self._leaving: list[int] = []
        self._counters = frames.Counters(0, 0, 0)

    def serve(self) -> None:
        """Works until the parent is gone.

        Raises:
            ParentGone: It is.
        """
        with closing(self._tokenising):
            while True:
                self._take()
                self._admit()
                self._report()
                self._step()
                self._report()

    def _take(self) -> None:
        """Handles what is there; waits for something if there is nothing else to do."""
        sources: list[socket.socket | Tokenising[frames.Submit]] = [
            self._link,
            self._tokenising,
        ]
        wait = 0 if self._busy else None
        for _ in range(_MOST_READS):
            ready, _, _ = select.select(sources, [], [], wait)
            wait = 0
            if self._tokenising in ready:
                for done in self._tokenising.take():
                    self._queue(done.job, done.tokens)
            if self._link in ready:
                self._hear(_received(self._link))
            if not ready:
                return

    @property
    def _busy(self) -> bool:
        """Whether a step is due."""
        return bool(self._streams or self._leaving or self._admission.waiting)

    def _hear(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if isinstance(frame, frames.Submit):
                self._submit(frame)
            elif isinstance(frame, frames.Cancel):
                self._cancel(frame.key)
            elif isinstance(frame, frames.Ping):
                self._send(frames.Pong(self._progress()))

    def _progress(self) -> dict[str, int]:
        """What is under way: a number for each, which changes when it gets on."""
        progress = self._runtime.progress()
        if len(self._tokenising):
            progress["tokenising"] = self._tokenising.done
        return progress

    def _submit(self, frame: frames.Submit) -> None:
        runtime = self._runtime
        if self._damage:
            self._send(frames.Broke(frame.key, self._damage))
            return
        # If this process dies of it, the parent knows whose prompt it was.
        self._send(frames.Reading(frame.key))
        try:
            prompt = self._text_of(frame)
        except TemplateRefused as error:
            reason = f"the model's chat template refuses the prompt: {error}"
            self._send(frames.Refused(frame.key, reason))
            return
        size = len(prompt.text.encode())
        least, limit = size // runtime.longest_token, runtime.context - 1
        if least > limit:
            # Hopeless, however it is tokenised.
            self._send(frames.TooLong(frame.key, least, limit))
        elif size > _LONG_BYTES:
            self._submit_long(frame, prompt)
        else:
            tokens: list[int] | Exception
            try:
                tokens = self._encode(prompt)
            except Exception as error:
                tokens = error
            self._queue(frame, tokens)

    def _submit_long(self, frame: frames.Submit, prompt: RenderedPrompt) -> None:
        # The first one may run at once, as far as is known before it is tokenised.
        places = self._max_waiting + self._admission.may_run_another
        if self._admission.waiting + len(self._tokenising) >= places:
            self._send(frames.Full(frame.key))
        else:
            self._send(frames.Reading(frame.key, begins=False))
            self._tokenising.add(frame.key, frame, prompt)

    def _queue(self, frame: frames.Submit, tokens: list[int] | Exception) -> None:
        """Lets a job wait for its place, now that its prompt is tokenised."""
        runtime = self._runtime
        if isinstance(tokens, TextRefused):
            self._send(frames.Refused(frame.key, str(tokens)))
            return
        if isinstance(tokens, Exception):
            reason = f"{type(tokens).__name__}: cannot tokenise"
            self._send(frames.Broke(frame.key, reason))
            return
        # The last place of the context is for the first token of the completion.
        limit = runtime.context - 1
        if len(tokens) > limit:
            self._send(frames.TooLong(frame.key, len(tokens), limit))
            return
        max_tokens = min(frame.max_tokens, runtime.context - len(tokens))
        blocks = -(-(len(tokens) + max_tokens) // runtime.block_tokens)
        kind = TextStream if frame.sampling.logprobs is None else PlacedTextStream
        stream = kind(spaced=frame.messages is not None and not frame.prompt)
        job = Waiting(blocks, Prepared(tokens, max_tokens, frame.sampling, stream, frame.tenant))
        accepted = self._admission.offer(frame.key, job, len(self._tokenising))
        answer = frames.Accepted(frame.key, len(tokens)) if accepted else frames.Full(frame.key)
        self._send(answer)
        self._admit()

    def _text_of(self, frame: frames.Submit) -> RenderedPrompt:
        """What the model is to continue."""
        if frame.messages is None or self._template is None or self._special is None:
            return RenderedPrompt(frame.prompt, self._raw_control)
        return self._template.prompt(frame.messages, frame.prompt, self._special)

    def _encode(self, prompt: RenderedPrompt) -> list[int]:
        if self._special is None or prompt.control is None:
            return self._runtime.encode(prompt.text)
        return self._special.encode(prompt)

    def _cancel(self, key: int) -> None:
        if self._tokenising.cancel(key) or self._admission.withdraw(key):
            return
        if key in self._held:
            del self._held[key]
            self._admission.release(key)
        elif key in self._streams:
            del self._streams[key]
            self._runtime.cancel(key)
            self._leaving.append(key)
        self._begin_all(self._prefixes.drop(key))

    def _admit(self) -> None:
        for key, job in self._admission.admit():
            if self._runtime.shares_prefixes and not self._prefixes.begins(key, job.tokens):
                self._held[key] = job
            else:
                self._begin(key, job)

    def _begin_all(self, keys: list[int]) -> None:
        for key in keys:
            self._begin(key, self._held.pop(key))

    def _begin(self, key: int, job: Prepared) -> None:
        self._send(frames.Began(key))
        try:
            self._runtime.begin(key, job.tokens, job.max_tokens, job.sampling, job.tenant)
        except Exception as error:
            # Whatever a library has against one job must not end those of all others.
            self._admission.release(key)
            self._send(frames.Broke(key, f"{type(error).__name__}: {error}"))
            self._begin_all(self._prefixes.drop(key))
        else:
            self._streams[key] = job.text

    def _step(self) -> None:
        if not (self._streams or self._leaving):
            return
        deltas = self._runtime.step()
        for key in self._leaving:
            self._admission.release(key)
        self._leaving.clear()
        pieces = [piece for piece in map(self._piece, deltas) if piece is not None]
        if pieces:
            self._send(frames.Wrote(pieces))
        for delta in deltas:
            self._begin_all(self._prefixes.computed(delta.key))

    def _piece(self, delta: Delta) -> tuple[int, str, int, str | None] | None:
        stream = self._streams[delta.key]
        if delta.cached is not None:
            self._send(frames.Cached(delta.key, delta.cached))
        if delta.ending is not None:
            del self._streams[delta.key]
            self._admission.release(delta.key)
            if delta.ending == "broke":
                self._send(frames.Broke(delta.key, "the runtime dropped it"))
                return None
        return delta.key, self._text(stream, delta), delta.tokens, delta.ending

    def _text(self, stream: TextStream, delta: Delta) -> str:
        """The text of a delta. The log probabilities of its tokens are sent at once."""
        if not isinstance(stream, PlacedTextStream):
            return stream.push(delta.data)
        text, placed = stream.place(delta.scored)
        if placed:
            self._send(frames.Scored(delta.key, [_scored(*each) for each in placed]))
        return text

    def _report(self) -> None:
        admission = self._admission
        waiting = admission.waiting + len(self._tokenising)
        now = frames.Counters(admission.running, waiting, admission.reserved)
        if now != self._counters:
            self._counters = now
            self._send(now)

    def _send(self, frame: frames.Frame) -> None:
        try:
            with self._sending:
                self._link.sendall(frames.encode(frame))
        except OSError:
            raise ParentGone from None


def _scored(
    token: ScoredToken, start: int, end: int
) -> tuple[str, int, int, float | None, dict[str, float]]:
    top: dict[str, float] = {}
    for data, its in token.top:
        # Tokens of one spelling cannot be told apart here: the likeliest counts.
        if (logprob := _finite(its)) is not None:
            top.setdefault(token_text(data), logprob)
    return token_text(token.data), start, end, _finite(token.logprob), top


def _finite(logprob: float | None) -> float | None:
    # JSON has no infinity; libraries give it, or null, for a token that cannot come.
    return logprob if logprob is not None and math.isfinite(logprob) else None


def _options(load: frames.Load, path: Path) -> RuntimeOptions:
    return RuntimeOptions(
        str(path),
        load.max_running,
        load.kv_cache_mib,
        load.threads,
        load.context,
        load.batch_tokens,
        load.prefix_cache,
    )


def main(descriptor: int) -> None:
    """Loads the model that the parent names, and serves until the parent is gone."""
    _follow_parent()
    link = socket.socket(fileno=descriptor)
    reader = frames.FrameReader()
    load = _first(link, reader)
    path = Path(load.path)
    try:
        file = model_file.read(path)
        template = template_of(file, load.format)
        with model_file.readable(path) as readable:
            computes: list[bool] = []
            runtime, name, note = load_runtime(
                _options(load, readable),
                file,
                load.runtime,
                lambda runtime: computes.append(computes_numbers(runtime)),
            )
        special = SpecialTokens(file, runtime, template.source if template else "")
        damage = "" if computes[-1] else _DAMAGED
    except TemplateRefused as error:
        reason = f'its chat template does not work: {error}; `format = "raw"` does without it'
        link.sendall(frames.encode(frames.NotLoaded(reason)))
        return
    except CannotLoad as error:
        link.sendall(frames.encode(frames.NotLoaded(str(error))))
        return
    except (ModelFileError, OSError) as error:
        reason = model_file.problem(path, error)
        link.sendall(frames.encode(frames.NotLoaded(reason)))
        return
    except Exception as error:
        # Metadata may hold any value in any place; another try would end like this one.
        reason = f"the model cannot be loaded ({type(error).__name__}: {one_line(error)[:200]})"
        link.sendall(frames.encode(frames.NotLoaded(reason)))
        return
    chat = template is not None
    loaded = frames.Loaded(
        runtime.context,
        runtime.longest_token,
        runtime.kv_blocks,
        runtime.kv_bytes,
        runtime.threads,
        name,
        chat,
        note,
        runtime.most_logprobs,
        [
            *model_file.warnings(file),
            *filter(None, (template.warning if template else "", damage)),
        ],
    )
    link.sendall(frames.encode(loaded))
    Worker(link, reader, load, runtime, template, special, damage).serve()


def _first(link: socket.socket, reader: frames.FrameReader) -> frames.Load:
    while True:
        for frame in reader.feed(_received(link)):
            if not isinstance(frame, frames.Load):
                raise TypeError(f"the first frame must be Load, not {type(frame).__name__}")
            return frame


def _received(link: socket.socket) -> bytes:
    """What came, at least a byte.

    Raises:
        ParentGone: The other end is closed; where it left something unread, that is an error.
    """
    try:
        data = link.recv(_READ_BYTES)
    except ConnectionError:
        raise ParentGone from None
    if not data:
        raise ParentGone
    return data


def _follow_parent() -> None:
    """Dies with the parent, however it dies, and leaves signals at the terminal to it."""
    # A Ctrl-C, or a service manager's SIGTERM, reaches the whole process group; the parent
    # decides what becomes of the running streams.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        # The closed socket is noticed between two steps; this also ends a step that hangs.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    with contextlib.suppress(ParentGone):
        main(int(sys.argv[1]))
    # Not a clean exit of the interpreter: with a request unfinished, a runtime's destructors
    # print warnings or abort.
    sys.stderr.flush()
    os._exit(0)
