"""The options of `tenuto serve` for cassettes, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from tenuto.cli import options
from tenuto.cli.failure import Failure
from tenuto.engine.base import Engine
from tenuto.settings import EngineSettings, Settings

# All else is imported late, because a server without a cassette starts its engine first.
if TYPE_CHECKING:
    from tenuto.cassette.index import Index
    from tenuto.cassette.recording import Recorder
    from tenuto.cassette.replaying import ReplayEngine

Record: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Add all completions to this cassette, without keys."),
]
Replay: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Answer from this cassette, without a model."),
]
ReplaySpeed: TypeAlias = Annotated[
    float | None,
    options.number(
        "1 replays with the recorded times, 2 in half of them, 0 at once.  [default: 0]",
        *(0, 1000, "X"),
    ),
]
OnMiss: TypeAlias = Annotated[
    str | None,
    options.choice(
        "Answer requests without a recording with an error, or by the engine of the settings, and "
        "add that to the cassette: fail or record.  [default: fail]",
        *("fail", "record"),
        metavar="WORD",
    ),
]
Scrub: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="REGEX",
        help="Replace matches in cassettes and requests by `[scrubbed]`. May be repeated.",
    ),
]

# The names of settings with secrets, in any section.
_SECRETS = ("api_key", "api_keys", "basic_auth", "secret_access_key")


@dataclass
class Cassettes:
    """The cassettes of one server.

    Args:
        record: The cassette for all completions, or None.
        replay: The cassette that answers, or None.
        speed: See `ReplayEngine`; None for the default.
        on_miss: `fail` or `record`; None for the default.
        scrub: Regular expressions.
    """

    record: Path | None
    replay: Path | None
    speed: float | None
    on_miss: str | None
    scrub: list[str] | None
    _recorder: Recorder | None = field(default=None, init=False)
    _replaying: ReplayEngine | None = field(default=None, init=False)
    _index: Index | None = field(default=None, init=False)

    def settings(self, settings: Settings) -> Settings:
        """Return the settings of the server. One that only replays has no engine of its own."""
        if self.replay is not None and self.on_miss != "record":
            return replace(settings, engine=EngineSettings())
        return settings

    def check(self, settings: Settings) -> None:
        """Refuse options that contradict each other or the settings.

        Raises:
            Failure: They do.
        """
        if self.record is not None and self.replay is not None:
            raise Failure(
                "--record: cannot be used with --replay; to add what is missing, use --replay FILE "
                "--on-miss record",
                2,
            )
        used = "--record" if self.record is not None else "--replay"
        if self.replay is None:
            for name, value in (("--replay-speed", self.speed), ("--on-miss", self.on_miss)):
                if value is not None:
                    raise Failure(f"{name}: needs --replay", 2)
        if self.record is None and self.replay is None:
            if self.scrub:
                raise Failure("--scrub: needs --record or --replay", 2)
            return
        if settings.server.workers > 1:
            raise Failure(
                f"{used}: a cassette belongs to one process; use --workers 1, not "
                f"{settings.server.workers}",
                2,
            )

    def engine(self, settings: Settings, open_engine: Callable[[], Engine]) -> Engine:
        """Return the engine of the server; `open_engine` opens that of the settings, if needed.

        Raises:
            Failure: A file or a pattern cannot be used.
        """
        if self.record is None and self.replay is None:
            return open_engine()
        from tenuto.cassette.file import CassetteError

        try:
            if self.record is not None:
                return self._recording(self.record, settings, open_engine)
            assert self.replay is not None
            return self._answering(self.replay, settings, open_engine)
        except CassetteError as error:
            raise Failure(str(error), 2) from None
        except OSError as error:
            raise Failure(f"{error.filename}: {error.strerror}", 2) from None

    def notes(self) -> Iterator[str]:
        """Yield lines for the log at the start."""
        if self.record is not None:
            yield f"Completions are recorded in {self.record.absolute()}."
        if self._index is not None:
            index = self._index
            yield (
                f"Answers come from the recordings in {index.path.absolute()} ({index.total}), "
                + ("and from the engine." if self.on_miss == "record" else "not from a model.")
            )
            for line, reason in index.damaged:
                yield f"{index.path.name}: line {line} {reason}. It is left out."

    def end(self) -> Iterator[str]:
        """Close the files, and yield lines for the log at the end.

        Raises:
            Failure: Requests had no recording, or completions were not written.
        """
        if self._recorder is not None:
            self._recorder.close()
            yield f"Recorded exchanges: {self._recorder.written}."
        missed = 0
        if self._replaying is not None and self._index is not None:
            self._index.close()
            missed = self._replaying.counts.missed
            yield (
                f"Replayed completions: {self._replaying.counts.replayed}, unused recordings: "
                f"{self._index.left}, misses: {missed}."
            )
        if self._recorder is not None and self._recorder.failed:
            raise Failure(f"--record: exchanges that could not be written: {self._recorder.failed}")
        if missed and self.on_miss != "record":
            name = self.replay and self.replay.name
            raise Failure(f"--replay: requests without a recording in {name}: {missed}")

    def _recording(
        self, path: Path, settings: Settings, open_engine: Callable[[], Engine]
    ) -> Engine:
        from tenuto.cassette.file import CassetteFile
        from tenuto.cassette.index import scrubber_of
        from tenuto.cassette.recording import Recorder, recording

        scrubber = scrubber_of(self.scrub or (), secrets_of(settings))
        self._recorder = Recorder(CassetteFile(path), scrubber)
        return recording(open_engine(), self._recorder)

    def _answering(
        self, path: Path, settings: Settings, open_engine: Callable[[], Engine]
    ) -> Engine:
        from tenuto.cassette.file import CassetteFile
        from tenuto.cassette.index import Index, scrubber_of
        from tenuto.cassette.recording import Recorder, recording
        from tenuto.cassette.replaying import ReplayEngine

        scrubber = scrubber_of(self.scrub or (), secrets_of(settings))
        adds = self.on_miss == "record"
        if adds:
            # Makes the file on the first run.
            self._recorder = Recorder(CassetteFile(path), scrubber)
        self._index = Index(path, scrubber)
        inner = recording(open_engine(), self._recorder) if self._recorder is not None else None
        self._replaying = ReplayEngine(self._index, self.speed or 0.0, inner)
        return self._replaying


def secrets_of(section: Any) -> list[str]:
    """Return the secrets in the settings, which must not be in a cassette either."""
    found: list[str] = []
    for each in fields(section):
        value = getattr(section, each.name)
        if each.name in _SECRETS:
            texts = [value] if isinstance(value, str) else list(value or ())
            # HTTP basic authentication: a name and a password.
            found += [part for text in texts for part in str(text).split(":", 1)]
        elif is_dataclass(value):
            found += secrets_of(value)
        elif isinstance(value, Mapping):
            found += [
                one for item in value.values() if is_dataclass(item) for one in secrets_of(item)
            ]
    return found
