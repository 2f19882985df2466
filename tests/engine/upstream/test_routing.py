"""Routes by model name, and fallbacks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from random import Random

import pytest

from tenuto.core.job import Finish, Job, Piece, Sampling
from tenuto.core.refusal import Kind, Refusal, failed, overloaded, too_long, unsupported
from tenuto.engine.base import Capabilities, Health, UpstreamHealth
from tenuto.engine.echo import EchoEngine
from tenuto.engine.registry import create
from tenuto.engine.upstream.breaker import Breaker
from tenuto.engine.upstream.errors import Fault, ModelMissing, UpstreamError
from tenuto.engine.upstream.kinds.tenuto import TenutoUpstream
from tenuto.engine.upstream.route import RouteSettings
from tenuto.engine.upstream.routing import RoutingEngine
from tenuto.engine.upstream.table import Upstream
from tenuto.prompt.turns import human_turn, parse_prompt
from tenuto.settings import EngineSettings
from tenuto.wire.errors import status_of
from tests.refusals import refused

pytestmark = pytest.mark.anyio

PROMPT = parse_prompt(human_turn("Hi"))
BROKEN = UpstreamError("broken")


class FakeEngine(EchoEngine):
    """Engine that records the requested model names, and raises the given errors first."""

    def __init__(self, *errors: Refusal) -> None:
        super().__init__()
        self.errors: list[Refusal] = list(errors)
        self.models: list[str] = []
        self.loaded = True
        self.blocks = 0

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        self.models.append(job.model)
        if self.errors:
            raise self.errors.pop(0)
        yield Piece("")
        yield Piece(" Hi", 1)
        yield Piece("", finish=Finish.END)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("fake", kv_blocks=self.blocks)

    def health(self) -> Health:
        return Health(self.loaded, "Loading." if not self.loaded else "Ready.")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def engine_of(
    engines: dict[str, EchoEngine],
    routes: Sequence[RouteSettings],
    *,
    models: dict[str, str] | None = None,
    clock: Clock | None = None,
) -> RoutingEngine:
    upstreams = {
        name: Upstream(engine, Breaker(3, 10.0, clock or Clock()), (models or {}).get(name))
        for name, engine in engines.items()
    }
    return RoutingEngine(upstreams, routes, Random(1))


async def ask(engine: RoutingEngine, model: str = "any") -> Piece:
    """The first piece of an answer, which is read to its end."""
    pieces = [piece async for piece in engine.generate(Job(PROMPT, 5, model=model))]
    assert pieces[-1].finish is Finish.END
    return pieces[0]


def answered(piece: Piece) -> str | None:
    assert piece.accepted is not None
    return piece.accepted.upstream


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """All waits between two tries, which are not waited for."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return taken


async def test_first_matching_route_is_used() -> None:
    engines = {name: FakeEngine() for name in ("a", "b", "c")}
    routes = [
        RouteSettings(("claude-2.1",), ("a",)),
        RouteSettings(("claude-2*", "gpt-?"), ("b",)),
        RouteSettings(("*-instant-[12]", "*[1m]"), ("c",)),
    ]
    engine = engine_of(dict(engines), routes)
    names = ["claude-2.1", "claude-2", "claude-2.0", "gpt-?", "x-instant-[12]", "sonnet[1m]"]
    assert [answered(await ask(engine, name)) for name in names] == [*"abbbcc"]
    for unknown in ("claude-instant-1", "gpt-3", "Claude-2", "sonnetm"):
        with pytest.raises(UpstreamError) as caught:
            await ask(engine, unknown)
        assert (status_of(caught.value.kind), str(caught.value)) == (404, f"model: {unknown}")


async def test_model_name_comes_from_hop_then_upstream_then_request() -> None:
    engines = {"a": FakeEngine(BROKEN), "b": FakeEngine(BROKEN), "c": FakeEngine()}
    route = RouteSettings(("*",), ("a:x", "b", "c"), max_retries=0)
    engine = engine_of(dict(engines), [route], models={"a": "m", "b": "n"})
    await ask(engine, "claude-2")
    assert [one.models for one in engines.values()] == [["x"], ["n"], ["claude-2"]]


async def test_requests_are_distributed_by_weight() -> None:
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    engine = engine_of(dict(engines), [RouteSettings(("*",), ("a", "b"), (3, 1))])
    counts = Counter([answered(await ask(engine)) for _ in range(400)])
    assert 260 < counts["a"] < 340
    # Whoever is drawn first, the other takes over.
    engines["b"].errors.extend([BROKEN] * 400)
    assert {answered(await ask(engine)) for _ in range(50)} == {"a"}


@pytest.mark.parametrize(
    "error", [BROKEN, failed("x"), overloaded("x")], ids=lambda error: str(type(error))
)
async def test_failure_is_retried_and_fails_over(error: Refusal, waits: list[float]) -> None:
    engines = {"a": FakeEngine(error, error), "b": FakeEngine()}
    route = RouteSettings(("*",), ("a", "b"), max_retries=1)
    engine = engine_of(dict(engines), [route])
    first = await ask(engine)
    assert (len(engines["a"].models), answered(first)) == (2, "b")
    assert first.accepted is not None
    assert first.accepted.warnings == (f"b answers instead of a ({error})",)
    (wait,) = waits
    assert 0.375 <= wait <= 0.5


@pytest.mark.parametrize(
    "error", [UpstreamError("no", 400, Fault.REQUEST), too_long(9, 5)], ids=["400", "too long"]
)
async def test_invalid_request_is_not_sent_to_the_next_upstream(error: Refusal) -> None:
    engines = {"a": FakeEngine(error), "b": FakeEngine()}
    engine = engine_of(dict(engines), [RouteSettings(("*",), ("a", "b"))])
    with pytest.raises(Refusal, match=str(error)):
        await ask(engine)
    assert (len(engines["a"].models), engines["b"].models) == (1, [])


@pytest.mark.parametrize(
    ("retry_after", "hops", "tries"),
    [(0.3, 2, 3), (1.5, 2, 1), (1.5, 1, 3), (9.0, 1, 3), (11.0, 1, 1)],
)
async def test_retry_after_over_the_limit_is_not_awaited(
    waits: list[float], retry_after: float, hops: int, tries: int
) -> None:
    error = UpstreamError("wait", 429, Fault.LIMIT, retry_after=retry_after)
    engines = {"a": FakeEngine(*[error] * 3), "b": FakeEngine()}
    route = RouteSettings(("*",), ("a", "b")[:hops], max_retries=2)
    engine = engine_of(dict(engines), [route])
    if hops == 2:
        assert answered(await ask(engine)) == "b"
    else:
        with pytest.raises(UpstreamError) as caught:
            await ask(engine)
        assert caught.value.retry_after == retry_after
    assert len(engines["a"].models) == tries
    assert waits == [retry_after] * (tries - 1)


async def test_repeated_failures_pause_the_upstream() -> None:
    clock = Clock()
    engines = {"a": FakeEngine(*[BROKEN] * 4), "b": FakeEngine()}
    route = RouteSettings(("*",), ("a", "b"), max_retries=0)
    engine = engine_of(dict(engines), [route], clock=clock)
    first = [await ask(engine) for _ in range(5)][-1]
    assert len(engines["a"].models) == 3
    assert first.accepted is not None
    assert "paused for 10 s" in first.accepted.warnings[0]
    assert engine.health().upstreams == {"a": UpstreamHealth(3, 10.0), "b": UpstreamHealth()}
    clock.now = 10
    await ask(engine)  # The probe fails.
    clock.now = 29
    await ask(engine)
    assert len(engines["a"].models) == 4
    clock.now = 30
    assert answered(await ask(engine)) == "a"
    assert engine.health().upstreams == {"a": UpstreamHealth(), "b": UpstreamHealth()}


async def test_retries_and_fallbacks_are_counted() -> None:
    first, counts = FakeEngine(), []
    engine = engine_of({"a": first, "b": FakeEngine()}, [RouteSettings(("*",), ("a", "b"))])
    for failures in (0, 1, 2):
        first.errors = [BROKEN] * failures
        await ask(engine)
        counts.append((engine.health().retries, engine.health().fallbacks))
    assert counts == [(0, 0), (1, 0), (2, 1)]


async def test_paused_upstream_is_not_retried() -> None:
    engines = {"a": FakeEngine(*[BROKEN] * 9), "b": FakeEngine()}
    route = RouteSettings(("*",), ("a", "b"), max_retries=8)
    engine = engine_of(dict(engines), [route])
    await ask(engine)
    assert len(engines["a"].models) == 3
    assert (engine.health().retries, engine.health().fallbacks) == (2, 1)


async def test_figures_of_embedded_models_are_summed() -> None:
    health = Health(True, "Ready.", 1, 2, 3, 4, prefix_queries=50, prefix_hits=6)
    engines = {name: FakeEngine() for name in ("a", "b")}
    for each in engines.values():
        each.health = lambda: health  # type: ignore[method-assign]
        each.blocks = 20
    engine = engine_of(dict(engines), [RouteSettings(("*",), ("a", "b"))])
    total = engine.health()
    assert (total.running, total.waiting, total.restarts) == (2, 4, 8)
    assert (total.prefix_queries, total.prefix_hits) == (100, 12)
    assert (total.kv_blocks_reserved, engine.capabilities.kv_blocks) == (6, 40)


@pytest.mark.parametrize(
    ("health", "state"),
    [
        (UpstreamHealth(), "closed"),
        (UpstreamHealth(2), "closed"),
        (UpstreamHealth(3, 9.5), "open"),
        (UpstreamHealth(3, 0.0), "half_open"),
        (UpstreamHealth(detail="Loading."), "not_ready"),
    ],
)
def test_state_of_an_upstream_has_the_name_of_the_breakers_state(
    health: UpstreamHealth, state: str
) -> None:
    assert health.state == state


async def test_rate_limit_does_not_count_as_a_failure() -> None:
    limited = UpstreamError("wait", 429, Fault.LIMIT, retry_after=60)
    engines = {"a": FakeEngine(*[limited] * 9), "b": FakeEngine()}
    engine = engine_of(dict(engines), [RouteSettings(("*",), ("a", "b"))])
    for _ in range(9):
        await ask(engine)
    assert len(engines["a"].models) == 9


async def test_error_of_paused_upstreams_has_retry_after() -> None:
    clock = Clock()
    engine = engine_of(
        {"a": FakeEngine(*[BROKEN] * 9)},
        [RouteSettings(("*",), ("a",), max_retries=0)],
        clock=clock,
    )
    for _ in range(3):
        with pytest.raises(UpstreamError, match="broken"):
            await ask(engine)
    assert not engine.health().ready
    clock.now = 4
    with pytest.raises(UpstreamError) as caught:
        await ask(engine)
    assert (status_of(caught.value.kind), caught.value.retry_after) == (529, 6)
    clock.now = 10
    assert engine.health().ready


async def test_disconnect_during_a_probe_admits_the_next_probe() -> None:
    class Silent(FakeEngine):
        async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
            if self.errors:
                raise self.errors.pop(0)
            await asyncio.Event().wait()
            yield Piece("")

    clock = Clock()
    engines = {"a": Silent(*[BROKEN] * 3)}
    engine = engine_of(dict(engines), [RouteSettings(("*",), ("a",), max_retries=0)], clock=clock)
    for _ in range(3):
        with pytest.raises(UpstreamError):
            await ask(engine)
    clock.now = 10
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(ask(engine), 0.05)
    assert "probe" in str(engine.health().upstreams["a"])
    assert engine.health().ready


async def test_failures_after_acceptance_pause_the_upstream() -> None:
    class Breaking(FakeEngine):
        async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
            yield Piece("")
            yield Piece(" Hel", 1)
            raise failed("broke")

    engine = engine_of({"a": Breaking(), "b": FakeEngine()}, [RouteSettings(("*",), ("a", "b"))])
    for number in (1, 2, 3):
        with refused(Kind.FAILED):
            await ask(engine)
        assert f"{number} consecutive failure" in str(engine.health().upstreams["a"])
    assert answered(await ask(engine)) == "b"


@pytest.mark.parametrize(("texts", "state"), [(2, "ok"), (1, "2 consecutive failures")])
async def test_response_left_early_is_a_success_if_it_has_text(texts: int, state: str) -> None:
    engine = engine_of(
        {"a": FakeEngine(BROKEN, BROKEN)}, [RouteSettings(("*",), ("a",), max_retries=0)]
    )
    for _ in range(2):
        with pytest.raises(UpstreamError):
            await ask(engine)
    async with aclosing(engine.generate(Job(PROMPT, 5))) as pieces:
        for _ in range(texts):
            await anext(pieces)
    assert str(engine.health().upstreams["a"]) == state


async def test_missing_model_named_by_the_caller_is_a_client_error() -> None:
    gone = [ModelMissing("lacks it", fault=Fault.SETTINGS) for _ in range(9)]
    engines = {"a": FakeEngine(*gone), "b": FakeEngine()}
    engine = engine_of(
        dict(engines), [RouteSettings(("x",), ("a", "b")), RouteSettings(("*",), ("a",))]
    )
    assert answered(await ask(engine, "x")) == "b"
    for _ in range(4):
        with pytest.raises(UpstreamError) as caught:
            await ask(engine, "y")
        assert (status_of(caught.value.kind), str(caught.value)) == (404, "model: y")
    # One caller cannot shut the server out for all others.
    assert str(engine.health().upstreams["a"]) == "ok"
    assert len(engines["a"].models) == 5


async def test_missing_model_named_by_the_settings_is_a_server_error() -> None:
    gone = ModelMissing("lacks it", fault=Fault.SETTINGS)
    engines = {"a": FakeEngine(gone)}
    engine = engine_of(dict(engines), [RouteSettings(("*",), ("a:m",))])
    with pytest.raises(UpstreamError, match="lacks it") as caught:
        await ask(engine, "y")
    assert status_of(caught.value.kind) == 500
    assert str(engine.health().upstreams["a"]) == "1 consecutive failure"


async def test_job_rejected_before_sending_does_not_count_for_the_breaker() -> None:
    clock = Clock()
    engines = {"a": FakeEngine(*[BROKEN] * 3, unsupported("seed", "no"))}
    route = RouteSettings(("*",), ("a",), max_retries=0)
    engine = engine_of(dict(engines), [route], clock=clock)
    for _ in range(3):
        with pytest.raises(UpstreamError):
            await ask(engine)
    clock.now = 10
    with refused(Kind.UNSUPPORTED):
        await ask(engine)
    assert "probe" in str(engine.health().upstreams["a"])
    await ask(engine)
    assert str(engine.health().upstreams["a"]) == "ok"


async def test_logprobs_are_not_supported_by_upstreams() -> None:
    settings = EngineSettings("routes", upstreams={"a": TenutoUpstream(base_url="http://x")})
    engine = create(settings)
    assert engine.capabilities.extensions == ("seed",)
    with refused(Kind.UNSUPPORTED, match="logprobs: the engine that answers cannot do that"):
        await anext(engine.generate(Job(PROMPT, 5, sampling=Sampling(logprobs=1))))
    await engine.aclose()


async def test_names_without_wildcards_are_listed() -> None:
    routes = [RouteSettings(("x", "y*"), ("a",)), RouteSettings(("z", "x"), ("a",))]
    engine = engine_of({"a": FakeEngine()}, routes)
    assert engine.capabilities.names() == ("x", "z")


async def test_engine_is_ready_while_one_upstream_is_ready() -> None:
    loading = FakeEngine()
    loading.loaded = False
    alone = engine_of({"a": loading}, [RouteSettings(("*",), ("a",))])
    assert not alone.health().ready
    assert alone.health().upstreams == {"a": UpstreamHealth(detail="Loading.")}
    both = engine_of({"a": loading, "b": FakeEngine()}, [RouteSettings(("*",), ("a",))])
    assert both.health().ready
