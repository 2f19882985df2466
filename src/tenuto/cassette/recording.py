"""An engine around another one, which writes all exchanges into a cassette."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from tenuto.cassette import pieces as pieces_json
from tenuto.cassette.exchange import Exchange, error_of, finish_of, usage_of
from tenuto.cassette.file import CassetteFile
from tenuto.cassette.request import request_of
from tenuto.cassette.scrubbing import Scrubber
from tenuto.core.job import Accepted, Finish, Job, Piece, Usage
from tenuto.core.prompt import HUMAN, Prompt
from tenuto.core.refusal import ModelError, Refusal, cannot_count
from tenuto.engine.base import Capabilities, CountsInput, CountsTokens, Engine, Health
from tenuto.stream.stops import StopMatcher
from tenuto.stream.trimmed import TrimmedStopMatcher

_log = logging.getLogger("tenuto.cassette")


@dataclass(slots=True)
class Line:
    """The line of one exchange.

    Attributes:
        place: Its start and its length, once it is in the file.
        is_spoiled: Whether its completion did not reach the caller whole.
    """

    place: tuple[int, int] | None = None
    is_spoiled: bool = False


class Recorder:
    """The way of exchanges into a cassette, in a thread of its own.

    Args:
        file: The cassette.
        scrubber: Removes secrets before anything is written.

    Attributes:
        written: Exchanges that are in the file.
        failed: Exchanges that are not, because the disk was full or broken.
        ending: Whether the engines end. Errors of jobs that end with them are not recorded.
    """

    def __init__(self, file: CassetteFile, scrubber: Scrubber) -> None:
        self._file = file
        self._scrubber = scrubber
        self._thread = ThreadPoolExecutor(1, "tenuto-cassette")
        self._last = datetime.now(UTC)
        self.written = 0
        self.failed = 0
        self.ending = False

    def now(self) -> str:
        """Return the time for `at`. Always later than the one before, so that it gives an order."""
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last.isoformat(timespec="microseconds").replace("+00:00", "Z")

    async def write(self, make: Callable[[], Exchange], secret: str | None, line: Line) -> None:
        """Write an exchange. Returns when the line is in the file, so that no crash loses it.

        A failure is logged, once, and counted: callers get their completions nevertheless.

        Args:
            make: Makes the exchange, in the thread.
            secret: A text to remove besides those that the scrubber finds.
            line: Gets its place. Nothing is written for one that is spoiled.
        """
        await asyncio.wrap_future(self._thread.submit(self._write, make, secret, line))

    def erase(self, line: Line) -> None:
        """Take an exchange out of the file, because a fault of a rule has spoiled its answer."""
        line.is_spoiled = True
        with contextlib.suppress(RuntimeError):  # The server has ended.
            self._thread.submit(self._erase, line)

    def _erase(self, line: Line) -> None:
        if line.place is None:
            return
        try:
            self._file.erase(*line.place)
        except OSError as error:
            _log.error("%s: an exchange is not taken out: %s", self._file.path, error.strerror)
        else:
            self.written -= 1
        line.place = None

    def _write(self, make: Callable[[], Exchange], secret: str | None, line: Line) -> None:
        if line.is_spoiled:
            return
        try:
            line.place = self._file.append(make().scrubbed(self._scrubber, secret))
        except OSError as error:
            if not self.failed:
                _log.error("%s: an exchange is not recorded: %s", self._file.path, error.strerror)
            self.failed += 1
        else:
            self.written += 1

    def close(self) -> None:
        """Wait for the last line, and close the file."""
        self._thread.shutdown()
        self._file.close()


class RecordingEngine:
    """Record the jobs of another engine. Its pieces and errors pass unchanged.

    An exchange is in the file before its last piece is passed on. One that a caller leaves before
    its end is not recorded, because a replay would present half of a text as the whole. One whose
    answer a fault has spoiled on its way is taken out again: the caller sends its request again.
    """

    def __init__(self, inner: Engine, recorder: Recorder) -> None:
        self.inner = inner
        self._recorder = recorder

    def around(self, engine: Engine) -> RecordingEngine:
        """Return an engine that records the jobs of another one into the same file."""
        return recording(engine, self._recorder)

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def health(self) -> Health:
        return self.inner.health()

    async def start(self) -> None:
        await self.inner.start()

    async def ready(self) -> str:
        return await self.inner.ready()

    async def aclose(self) -> None:
        self._recorder.ending = True
        await self.inner.aclose()

    async def count_tokens(self, job: Job) -> int:
        """See `CountsTokens`. Recorded as an exchange without pieces."""
        if not isinstance(self.inner, CountsTokens):
            raise cannot_count()
        at = self._recorder.now()
        error: Refusal | None = None
        tokens: int | None = None
        try:
            tokens = await self.inner.count_tokens(job)
            return tokens
        except Refusal as refusal:
            error = refusal
            raise
        finally:
            if tokens is not None or self._is_lasting(error):
                await self._write(job, at, [], None, Usage(tokens), error, None, counts=True)

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        at, start = self._recorder.now(), perf_counter()
        pieces: list[tuple[float, Piece]] = []
        accepted, usage = Accepted(), None
        written = False
        line = self._line(job)
        try:
            async with aclosing(self.inner.generate(job)) as generated:
                async for piece in generated:
                    pieces.append(((perf_counter() - start) * 1000, piece))
                    accepted, usage = piece.accepted or accepted, piece.usage or usage
                    if piece.finish is not None:
                        written = True
                        end = finish_of(piece.finish)
                        await self._write(job, at, pieces, end, usage, None, accepted, line)
                    yield piece
        except Refusal as error:
            if not written and self._is_lasting(error):
                written = True
                await self._write(job, at, pieces, None, usage, error, accepted, line)
            raise
        finally:
            if not written and (stop := _matched(job, pieces)) is not None:
                end = finish_of(Finish.END, stop)
                await self._write(job, at, pieces, end, usage, None, accepted, line)

    def _line(self, job: Job) -> Line:
        """Return the line of a job, which is taken out of the file if its answer is spoiled."""
        line = Line()
        if job.spoiling is not None:
            job.spoiling.on_spoiled(lambda: self._recorder.erase(line))
        return line

    def _is_lasting(self, error: Refusal | None) -> bool:
        """Return whether an error belongs to the exchange, instead of to this server's state."""
        return error is not None and not self._recorder.ending and not isinstance(error, ModelError)

    async def _write(
        self,
        job: Job,
        at: str,
        pieces: Sequence[tuple[float, Piece]],
        finish: dict[str, Any] | None,
        usage: Usage | None,
        error: Refusal | None,
        accepted: Accepted | None,
        line: Line | None = None,
        *,
        counts: bool = False,
    ) -> None:
        model = self.inner.capabilities.model

        def make() -> Exchange:
            return Exchange(
                at,
                request_of(job, counts=counts),
                pieces_json.written(pieces),
                finish,
                usage_of(usage),
                None if accepted is None else _upstream_of(accepted, model),
                None if error is None else error_of(error),
            )

        # The write goes on in its thread if this task is cancelled.
        with contextlib.suppress(RuntimeError):  # The file is closed: the server has ended.
            await self._recorder.write(make, job.caller.key, line or Line())


class _CountingRecordingEngine(RecordingEngine):
    """The same for an engine that counts prompts before it gets the job."""

    async def count_input(self, prompt: Prompt) -> int:
        """See `CountsInput`."""
        assert isinstance(self.inner, CountsInput)
        return await self.inner.count_input(prompt)


def recording(engine: Engine, recorder: Recorder) -> RecordingEngine:
    """Return an engine that records the jobs of another one, and can do the same otherwise."""
    kind = _CountingRecordingEngine if isinstance(engine, CountsInput) else RecordingEngine
    return kind(engine, recorder)


def _upstream_of(accepted: Accepted, model: str | None) -> dict[str, Any]:
    return {
        "name": accepted.upstream,
        "model": accepted.model or model,
        "warnings": list(accepted.warnings),
        "response_id": accepted.response_id,
    }


def _matched(job: Job, pieces: Sequence[tuple[float, Piece]]) -> str | None:
    """Return the stop sequence that ended a text; None if the caller left before."""
    stops = (*((HUMAN,) if job.ends_at_human else ()), *job.stop_sequences)
    matcher = TrimmedStopMatcher(stops) if job.trims else StopMatcher(stops)
    for _, piece in pieces:
        matcher.push(piece.text)
        if matcher.stop is not None:
            return matcher.stop
    return None
