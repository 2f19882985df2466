"""The one way to assemble an engine, and the one way to run a request on it.

The server, the command line and the client with an embedded engine all use it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tenuto.core.events import Ended, Event, Text
from tenuto.core.job import Accepted, Sampling
from tenuto.core.long_text import LongText
from tenuto.core.refusal import Kind, Refusal, invalid, unsupported
from tenuto.core.request import Request
from tenuto.engine import registry
from tenuto.engine.base import Engine
from tenuto.settings import EngineSettings, ModelSettings, Settings, models_folder
from tenuto.stream.meter import Meter
from tenuto.stream.pipe import run
from tenuto.wire.errors import excerpt
from tenuto.wire.names import MESSAGES_MODELS, TEXT_MODELS

if TYPE_CHECKING:
    from tenuto.models.folder import ModelFolder
    from tenuto.models.names import Reference

Download: TypeAlias = "Callable[[Reference, ModelFolder], Path]"
"""Downloads a model into the folder, and returns its file. Raises `ModelUnavailable`."""


def open_engine(settings: Settings, download: Download) -> Engine:
    """Return the engine of the settings, not started yet.

    Args:
        settings: All settings. The model may be a path, the name of a downloaded model, or a
            reference to the hub.
        download: Called for a reference whose model is not in the folder.

    Raises:
        ModelUnavailable: The model does not exist, or its download failed.
        ModelError: See `tenuto.engine.registry.create`.
        ValueError: The settings name an unknown engine.
    """
    engine = settings.engine
    model = engine.local.model
    if model is not None and _runs_models(engine):
        local = replace(engine.local, model=_model_file(model, settings.models, download))
        engine = replace(engine, local=local)
    return registry.create(engine)


def _runs_models(engine: EngineSettings) -> bool:
    """Return whether the embedded engine answers, to all requests or to some."""
    upstreams = engine.upstreams.values()
    return engine.name == "local" or any(one.kind == "local" for one in upstreams)


def _model_file(model: str | Path, settings: ModelSettings, download: Download) -> Path:
    # Imported late because the built-in model needs none of it.
    from tenuto.models.folder import ModelFolder
    from tenuto.models.resolve import existing, resolve

    if (path := existing(model)) is not None:
        return path
    # After that, because a path works without a home folder.
    folder = ModelFolder(models_folder(settings))
    return resolve(model, folder, lambda reference: download(reference, folder))


class Running:
    """A completion that is being written. Close it to cancel the rest.

    Attributes:
        accepted: What is known of it from its beginning.
        events: The events after that. They raise a `Refusal` where the engine breaks.
    """

    def __init__(self, accepted: Accepted, events: AsyncGenerator[Event, None]) -> None:
        self.accepted = accepted
        self._events = events

    @property
    def events(self) -> AsyncIterator[Event]:
        """The text, then `Ended`."""
        return self._events

    async def aclose(self) -> None:
        """Cancel the job, unless it has ended."""
        await self._events.aclose()


class Completions:
    """Runs requests on an engine.

    Args:
        engine: The engine, started.
        strict_models: Whether a model's name has to be known.
    """

    def __init__(self, engine: Engine, *, strict_models: bool = False) -> None:
        self._engine = engine
        self._strict_models = strict_models

    def check(self, model: str, sampling: Sampling) -> None:
        """Refuse what the engine would not honour. Cheap: no prompt is needed for it.

        Raises:
            Refusal: The model is unknown, or the engine lacks an extension.
        """
        capabilities = self._engine.capabilities
        if self._strict_models:
            check_model(model, capabilities.names())
        for name, value in (("seed", sampling.seed), ("logprobs", sampling.logprobs)):
            if value is not None and name not in capabilities.extensions:
                raise unsupported(name, "the engine that answers cannot do that. Leave it out.")

    async def run(self, request: Request, meter: Meter) -> Running:
        """Hand a request to the engine, and wait until it is accepted.

        Raises:
            Refusal: It is not.
        """
        events = run(request.job, self._engine, request.stops, meter)
        try:
            accepted = await anext(events)
        except BaseException:
            await events.aclose()
            raise
        assert isinstance(accepted, Accepted)
        if request.echo or request.reports_usage:
            events = _extended(events, request, meter)
        return Running(accepted, events)


async def _extended(
    events: AsyncGenerator[Event, None], request: Request, meter: Meter
) -> AsyncGenerator[Event, None]:
    """Add to the events what only some requests ask for."""
    echo = request.echo
    async with aclosing(events):
        for piece in echo.pieces() if isinstance(echo, LongText) else filter(None, [echo]):
            yield Text(piece)
        async for event in events:
            if isinstance(event, Ended) and request.reports_usage:
                yield replace(event, usage=meter.usage())
            else:
                yield event


def check_model(name: str, served: tuple[str, ...]) -> None:
    """Check the model of a request, where not every name is valid.

    Args:
        name: The name in the request.
        served: The names of the models that answer.

    Raises:
        Refusal: There is no such model, or it is a model of the Messages API.
    """
    if name in served or name in TEXT_MODELS:
        return
    if name in MESSAGES_MODELS:
        raise invalid(
            f'"{name}" is not supported on this API. Please use the Messages API instead.'
        )
    raise Refusal(Kind.NOT_FOUND, f"model: {excerpt(name)}")
