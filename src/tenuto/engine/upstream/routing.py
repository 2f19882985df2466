"""Which of several engines answers: by the model's name, by weight, and by who is well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from tenuto.engine.base import (
    Accepted,
    Engine,
    EngineError,
    EngineFailed,
    EngineOverloaded,
    Job,
    JobKillsEngine,
    Piece,
    Status,
    UpstreamError,
)
from tenuto.engine.upstream.breaker import Attempt, Breaker
from tenuto.engine.upstream.failures import SLOW, NoSuchModel
from tenuto.engine.upstream.patterns import Pattern
from tenuto.engine.upstream.shutdown import Shutdown
from tenuto.wire.backoff import delay_s

_log = logging.getLogger("tenuto.upstream")

# Whoever asks for a longer wait than this is not asked again for the same request.
_LONGEST_WAIT_S: Final = 10.0
_LONGEST_WAIT_BEFORE_ANOTHER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """One of the engines.

    Attributes:
        engine: Who answers.
        breaker: Keeps requests from it while it fails.
        model: The name that it is asked for; None for the one in the request.
    """

    engine: Engine
    breaker: Breaker
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a route leads.

    Attributes:
        upstream: The name of an upstream.
        model: The name that it is asked for; None for its own.
    """

    upstream: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers to some names.

    Attributes:
        models: Names, also with `*` for any characters.
        hops: Who answers; each takes over from the one before if that fails.
        weights: How often each is the first to be asked, in proportion; empty: always the first.
        max_retries: How often each is asked again before the next one is.
        first_byte_timeout_s: How long each may take to begin its answer.
    """

    models: Sequence[str]
    hops: Sequence[Hop]
    weights: Sequence[float] = ()
    max_retries: int = 1
    first_byte_timeout_s: float | None = None


@dataclass(slots=True)
class _Trail:
    """What went wrong on the way to an answer."""

    error: EngineError | None = None
    missed: dict[str, str] = field(default_factory=dict)
    waits_s: list[float] = field(default_factory=list)

    def warning(self, name: str) -> tuple[str, ...]:
        others = {other: why for other, why in self.missed.items() if other != name}
        if not others:
            return ()
        return (f"{name} answers instead of " + ", ".join(f"{a} ({b})" for a, b in others.items()),)

    def last(self) -> EngineError:
        """What the caller is told when nobody answered."""
        if self.error is not None:
            return self.error
        return UpstreamError("Overloaded", status=529, retry_after=min(self.waits_s, default=None))


class RoutingEngine:
    """Passes each job on to the engine that its model's name leads to.

    Until the first piece comes, a failure is followed by another try, after a wait, and then by
    the next engine. After it, a failure is the caller's to see: half an answer was given.

    Args:
        upstreams: The engines, by name.
        routes: The first whose models a name matches decides.
        chance: Draws by weight, and spreads the waits.
    """

    def __init__(
        self, upstreams: Mapping[str, Upstream], routes: Sequence[Route], chance: Random
    ) -> None:
        self._upstreams = upstreams
        self._routes = [([Pattern(name) for name in route.models], route) for route in routes]
        self._chance = chance
        self._shutdown = Shutdown()
        patterns = [pattern for patterns, _ in self._routes for pattern in patterns]
        self._names = tuple(dict.fromkeys(one.text for one in patterns if one.is_name))

    async def start(self) -> None:
        """Starts all of them."""
        for upstream in self._upstreams.values():
            await upstream.engine.start()

    async def ready(self) -> str:
        """Waits for all of them."""
        for upstream in self._upstreams.values():
            await upstream.engine.ready()
        return ", ".join(self._upstreams)

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """See `Engine.generate`."""
        route = self._route_of(job.model)
        if route is None:
            raise UpstreamError(f"model: {job.model}", status=404)
        attempt, first, pieces = await self._begin(job, route)
        wrote = False
        try:
            async with aclosing(pieces):
                yield first
                async for piece in pieces:
                    wrote = wrote or bool(piece.text)
                    if piece.finish is not None:
                        attempt.succeeded()
                    yield piece
        except EngineError as error:
            _settle(attempt, error)
            raise
        finally:
            # Most answers are left at a stop sequence: what has written until then is well.
            if wrote:
                attempt.succeeded()
            else:
                attempt.abandoned()

    async def _begin(
        self, job: Job, route: Route
    ) -> tuple[Attempt, Piece, AsyncGenerator[Piece, None]]:
        """Who answers: the attempt, its first piece, and the open generator of the others.

        Raises:
            EngineError: Nobody does.
        """
        trail = _Trail()
        hops = self._order(route)
        for hop, is_last in zip(hops, [*[False] * (len(hops) - 1), True], strict=True):
            upstream = self._upstreams[hop.upstream]
            model = hop.model or upstream.model or job.model
            asked = job if model == job.model else replace(job, model=model)
            for number in range(route.max_retries + 1):
                attempt = upstream.breaker.admit()
                if attempt is None:
                    trail.missed[hop.upstream] = str(upstream.breaker)
                    trail.waits_s.append(upstream.breaker.wait_s())
                    break
                pieces = upstream.engine.generate(asked)
                try:
                    first = await _first(pieces, route.first_byte_timeout_s)
                    attempt.answers()
                    return attempt, _told(first, hop.upstream, trail), pieces
                except BaseException as error:
                    await pieces.aclose()
                    if asked is job and isinstance(error, NoSuchModel):
                        # The caller has named it, and may name others: the server is well.
                        error = UpstreamError(f"model: {job.model}", status=404, moves_on=True)
                        error.is_failure = False
                    _settle(attempt, error)
                    if not isinstance(error, EngineError) or not _may_pass(error):
                        raise error
                    if self._shutdown.begun:
                        raise
                    trail.error = error
                    trail.missed[hop.upstream] = str(error)
                _log.warning("upstream %s failed, attempt %d", hop.upstream, number + 1)
                wait = _wait_s(trail.error, number, self._chance.random())
                longest = _LONGEST_WAIT_S if is_last else _LONGEST_WAIT_BEFORE_ANOTHER_S
                if number == route.max_retries or wait > longest or not _may_retry(trail.error):
                    break
                with self._shutdown.interruptible():
                    await asyncio.sleep(wait)
        raise trail.last()

    async def ping(self) -> Status:
        """Ready while at least one of them would be asked."""
        paused = [upstream.breaker.wait_s() > 0 for upstream in self._upstreams.values()]
        statuses = [await upstream.engine.ping() for upstream in self._upstreams.values()]
        return Status(
            any(status.ready and not pause for status, pause in zip(statuses, paused, strict=True)),
            None,
            f"Asks {', '.join(self._upstreams)}.",
            running=sum(status.running for status in statuses),
            waiting=sum(status.waiting for status in statuses),
            restarts=sum(status.restarts for status in statuses),
            models=self._names,
            # One that cannot do what is asked says so itself.
            extensions=tuple(sorted({name for one in statuses for name in one.extensions})),
            upstreams={
                name: str(upstream.breaker) if status.ready else status.detail
                for (name, upstream), status in zip(self._upstreams.items(), statuses, strict=True)
            },
        )

    async def aclose(self) -> None:
        """Close all engines at once. Running jobs raise `EngineFailed`, also between two tries."""
        self._shutdown.begin()
        closing = (upstream.engine.aclose() for upstream in self._upstreams.values())
        for outcome in await asyncio.gather(*closing, return_exceptions=True):
            # Not before all of them are closed.
            if isinstance(outcome, BaseException):
                raise outcome

    def _route_of(self, name: str) -> Route | None:
        for patterns, route in self._routes:
            if any(pattern.matches(name) for pattern in patterns):
                return route
        return None

    def _order(self, route: Route) -> list[Hop]:
        hops = list(route.hops)
        if route.weights:
            (first,) = self._chance.choices(range(len(hops)), route.weights)
            hops.insert(0, hops.pop(first))
        return hops


async def _first(pieces: AsyncGenerator[Piece, None], timeout_s: float | None) -> Piece:
    if timeout_s is None:
        return await anext(pieces)
    try:
        async with asyncio.timeout(timeout_s):
            return await anext(pieces)
    except TimeoutError:
        raise UpstreamError(SLOW, status=504, retryable=True) from None


def _settle(attempt: Attempt, error: BaseException) -> None:
    """Note what an error says of the server that it comes from."""
    if isinstance(error, UpstreamError):
        # One that asks for less, or says that the request is wrong, is well.
        (attempt.failed if error.is_failure else attempt.succeeded)()
    elif isinstance(error, EngineFailed):
        attempt.failed()
    elif isinstance(error, EngineOverloaded):
        attempt.succeeded()
    else:
        # Nothing was sent, or nobody waited for the answer.
        attempt.abandoned()


def _may_pass(error: EngineError) -> bool:
    """Whether another engine may do what this one did not."""
    if isinstance(error, UpstreamError):
        return error.moves_on
    return isinstance(error, (EngineFailed, EngineOverloaded, JobKillsEngine))


def _may_retry(error: EngineError) -> bool:
    """Whether another try may do what this one did not."""
    if isinstance(error, UpstreamError):
        return error.retryable
    return not isinstance(error, JobKillsEngine)


def _wait_s(error: EngineError | None, attempt: int, chance: float) -> float:
    told = error.retry_after if isinstance(error, UpstreamError) else None
    return delay_s(attempt, chance) if told is None else told


def _told(first: Piece, name: str, trail: _Trail) -> Piece:
    """The first piece, with what the way to it was."""
    told = first.accepted or Accepted()
    warnings = (*trail.warning(name), *told.warnings)
    if missed := trail.warning(name):
        _log.warning("%s", missed[0])
    return replace(first, accepted=replace(told, upstream=name, warnings=warnings))
