"""Which of several engines answers: by the model's name, by weight, and by who is well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from tenuto.core.job import Accepted, Job, Piece
from tenuto.core.refusal import Kind, ModelError, Refusal
from tenuto.engine.base import Capabilities, Engine, Health
from tenuto.engine.upstream.breaker import Attempt, Breaker
from tenuto.engine.upstream.failures import SLOW, NoSuchModel, UpstreamError
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

    error: Refusal | None = None
    missed: dict[str, str] = field(default_factory=dict)
    waits_s: list[float] = field(default_factory=list)

    def warning(self, name: str) -> tuple[str, ...]:
        others = {other: why for other, why in self.missed.items() if other != name}
        if not others:
            return ()
        return (f"{name} answers instead of " + ", ".join(f"{a} ({b})" for a, b in others.items()),)

    def last(self) -> Refusal:
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
        except Refusal as error:
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
            Refusal: Nobody does.
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
                    if not isinstance(error, Refusal) or not _may_pass(error):
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

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`. An upstream refuses an extension that it lacks itself."""
        engines = [upstream.engine for upstream in self._upstreams.values()]
        extensions = {name for engine in engines for name in engine.capabilities.extensions}
        return Capabilities(models=self._names, extensions=tuple(sorted(extensions)))

    def health(self) -> Health:
        """Ready while at least one upstream is, and is not paused by its breaker."""
        upstreams = self._upstreams
        states = {name: upstream.engine.health() for name, upstream in upstreams.items()}
        return Health(
            any(
                state.ready and upstreams[name].breaker.wait_s() <= 0
                for name, state in states.items()
            ),
            f"Asks {', '.join(upstreams)}.",
            running=sum(state.running for state in states.values()),
            waiting=sum(state.waiting for state in states.values()),
            restarts=sum(state.restarts for state in states.values()),
            upstreams={
                name: str(upstreams[name].breaker) if state.ready else state.detail
                for name, state in states.items()
            },
        )

    async def aclose(self) -> None:
        """Close all engines at once. Running jobs raise `Refusal`, also between two tries."""
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
        raise UpstreamError(SLOW, status=504, again=True) from None


def _settle(attempt: Attempt, error: BaseException) -> None:
    """Note what an error says of the server that it comes from."""
    if isinstance(error, UpstreamError):
        # One that asks for less, or says that the request is wrong, is well.
        (attempt.failed if error.is_failure else attempt.succeeded)()
    elif isinstance(error, Refusal) and error.kind is Kind.OVERLOADED:
        attempt.succeeded()
    elif _broke(error):
        attempt.failed()
    else:
        # Nothing was sent, or nobody waited for the answer.
        attempt.abandoned()


def _may_pass(error: Refusal) -> bool:
    """Whether another engine may do what this one did not."""
    if isinstance(error, UpstreamError):
        return error.moves_on
    return error.kind in (Kind.FAILED, Kind.OVERLOADED) and not isinstance(error, ModelError)


def _may_retry(error: Refusal) -> bool:
    """Whether another try may do what this one did not."""
    if isinstance(error, UpstreamError):
        return error.again
    return error.retryable is not False


def _broke(error: BaseException) -> bool:
    """Whether an engine broke, and not by the request itself."""
    return (
        isinstance(error, Refusal)
        and error.kind is Kind.FAILED
        and error.retryable is not False
        and not isinstance(error, ModelError)
    )


def _wait_s(error: Refusal | None, attempt: int, chance: float) -> float:
    told = error.retry_after if isinstance(error, UpstreamError) else None
    return delay_s(attempt, chance) if told is None else told


def _told(first: Piece, name: str, trail: _Trail) -> Piece:
    """The first piece, with what the way to it was."""
    told = first.accepted or Accepted()
    warnings = (*trail.warning(name), *told.warnings)
    if missed := trail.warning(name):
        _log.warning("%s", missed[0])
    return replace(first, accepted=replace(told, upstream=name, warnings=warnings))
