"""Clients whose completions are recorded in a cassette or replayed from one, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import httpx2

from tenuto.cassette.file import CassetteError, CassetteFile
from tenuto.cassette.index import Index, scrubber_of
from tenuto.cassette.recording import Recorder, recording
from tenuto.cassette.replaying import ReplayEngine
from tenuto.client.client import AsyncClient, Client
from tenuto.client.embedded.server import EmbeddedServer, embedded_settings, engine_of
from tenuto.client.embedded.transports import AsyncEmbeddedTransport, EmbeddedTransport
from tenuto.engine.base import Engine
from tenuto.engine.upstream.kinds.tenuto import TenutoUpstream
from tenuto.settings import ApiSettings, EngineSettings, Settings, load

Mode: TypeAlias = Literal["none", "once", "new_episodes", "all"]
"""The words of VCR.py: see `cassette`."""

# Nothing connects to it.
_ADDRESS: Final = "http://127.0.0.1"
_EXTENDED: Final = ApiSettings(extensions=True)


class MissedError(AssertionError):
    """Requests had no recording, and the program under test hid the error."""


class Tape:
    """A cassette with the clients that use it.

    Attributes:
        path: The file.
        index: The recordings that are replayed; None while all is recorded.
        recorder: Writes recordings; None while nothing is recorded.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        open_engine: Callable[[Settings], Engine],
        index: Index | None,
        recorder: Recorder | None,
        speed: float,
    ) -> None:
        self.path = path
        self.index = index
        self.recorder = recorder
        self._replaying: ReplayEngine | None = None

        def engine(settings: Settings) -> Engine:
            inner = None if recorder is None else recording(open_engine(settings), recorder)
            if index is None:
                assert inner is not None
                return inner
            self._replaying = ReplayEngine(index, speed, inner)
            return self._replaying

        self._server = EmbeddedServer(settings, engine)

    @cached_property
    def client(self) -> Client:
        """A blocking client. Its engine is the cassette, whatever its address is."""
        http = httpx2.Client(transport=_Transport(self._server))
        return Client(api_key="", base_url=_ADDRESS, http_client=http)

    @cached_property
    def async_client(self) -> AsyncClient:
        """A client for asyncio, which shares the recordings."""
        http = httpx2.AsyncClient(transport=_AsyncTransport(self._server))
        return AsyncClient(api_key="", base_url=_ADDRESS, http_client=http)

    @property
    def replayed(self) -> int:
        """Number of completions that were replayed."""
        return 0 if self._replaying is None else self._replaying.counts.replayed

    @property
    def missed(self) -> int:
        """Number of requests without a recording."""
        return 0 if self._replaying is None else self._replaying.counts.missed

    @property
    def left(self) -> int:
        """Number of recordings that were not replayed."""
        return 0 if self.index is None else self.index.left

    def close(self) -> None:
        """Stop the engine, and close the file."""
        with suppress(KeyError):
            vars(self)["client"].close()
        self._server.close()
        if self.recorder is not None:
            self.recorder.close()
        if self.index is not None:
            self.index.close()


@contextmanager
def cassette(
    path: str | Path,
    mode: Mode = "none",
    *,
    engine: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    scrub: Sequence[str] = (),
    speed: float = 0.0,
) -> Iterator[Tape]:
    """Replay a cassette, or record one, through `client` and `async_client` of the result.

    Args:
        path: The file.
        mode: `none` replays only; `once` records if there is no file, and replays otherwise;
            `new_episodes` records requests that miss; `all` records all anew, and replaces the
            file at the end, unless the block raises.
        engine: Records this engine: `local`, `local:MODEL` or `echo`. Default: the engine of
            `tenuto.toml` and the environment, upstreams included.
        base_url: Records this server of the Text Completions API instead.
        api_key: The key for that server. It is never written.
        scrub: Regular expressions of texts that are replaced by `[scrubbed]`.
        speed: 0 replays at once, 1 with the recorded times.

    Raises:
        CassetteError: The file cannot be used.
        MissedError: At the end: requests had no recording, though the block raised nothing.
        ValueError: An argument is invalid.
        MissingExtraError: The extra `local` is not installed, or with `base_url` the extra
            `routes`.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"mode: must be one of: {', '.join(get_args(Mode))}")
    if engine is not None and base_url is not None:
        raise ValueError("engine and base_url exclude each other")
    path = Path(path)
    if mode == "once":
        mode = "none" if path.exists() else "all"
    scrubber = scrubber_of(scrub, [] if api_key is None else [api_key])
    if mode == "none" and not path.exists():
        raise CassetteError(f'{path}: is not there; record it with the mode "once"')
    if mode == "none":
        settings = Settings(api=_EXTENDED)
    else:
        settings = _recorded_settings(engine, base_url, api_key)
        path.parent.mkdir(parents=True, exist_ok=True)
    target = path.with_name(f".{path.name}.new") if mode == "all" else path
    if mode == "all":
        # Of a run that was killed.
        target.unlink(missing_ok=True)
    recorder = None if mode == "none" else Recorder(CassetteFile(target), scrubber)
    index = None if mode == "all" else Index(path, scrubber)
    tape = Tape(path, settings, engine_of, index, recorder, speed)
    try:
        yield tape
    except BaseException:
        tape.close()
        if mode == "all":
            target.unlink()
        raise
    tape.close()
    if mode == "all":
        target.replace(path)
    if tape.missed and mode == "none":
        raise MissedError(f"requests without a recording in {path}: {tape.missed}")


def _recorded_settings(engine: str | None, base_url: str | None, api_key: str | None) -> Settings:
    """Return the settings of the engine that is recorded."""
    if engine is not None:
        return embedded_settings(engine, True)
    if base_url is not None:
        upstream = TenutoUpstream(base_url=base_url, api_key=api_key)
        routes = EngineSettings("routes", upstreams={"recorded": upstream})
        return Settings(api=_EXTENDED, engine=routes)
    settings = load()
    return Settings(
        engine=settings.engine,
        models=settings.models,
        limits=settings.limits,
        api=replace(settings.api, extensions=True),
    )


class _Transport(EmbeddedTransport):
    """A transport to a server that outlives its client."""

    def close(self) -> None:
        """Leave the server to the tape."""


class _AsyncTransport(AsyncEmbeddedTransport):
    async def aclose(self) -> None:
        """Leave the server to the tape."""
