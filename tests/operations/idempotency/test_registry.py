"""The registry against a model that keeps everything in one list."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from tenuto.operations.idempotency.records import Claim, KeptResponse, Mismatch, Place, Running
from tenuto.operations.idempotency.registry import Bounds, Registry

BOUNDS = Bounds(total_bytes=20_000, response_bytes=8_000, entries=4, age_s=60.0)
PLACES = [Place(caller, bytes([key])) for caller in ("a", "b") for key in range(4)]


def response(length: int) -> KeptResponse:
    return KeptResponse(200, (), b"x" * length)


@dataclass
class Kept:
    place: Place
    fingerprint: bytes
    response: KeptResponse
    ended: float


class RegistryMachine(RuleBasedStateMachine):
    """Claims of random places are held, kept and dropped while time passes."""

    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry(BOUNDS)
        self.now = 0.0
        self.running: list[Claim] = []
        self.held: dict[int, int] = {}
        self.kept: list[Kept] = []  # in order of use

    def room_for(self, size: int, entries: int = 0) -> bool:
        most = BOUNDS.total_bytes - sum(self.held.values())
        if size > most:
            return False
        while self.kept and (
            size + sum(each.response.size for each in self.kept) > most
            or len(self.kept) + entries > BOUNDS.entries
        ):
            del self.kept[0]
        return True

    @rule(seconds=st.sampled_from([0.5, 20.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=claims, place=st.sampled_from(PLACES), fingerprint=st.sampled_from([b"1", b"2"]))
    def begin(self, place: Place, fingerprint: bytes) -> object:
        verdict = self.registry.begin(place, fingerprint, self.now)
        self.kept = [each for each in self.kept if self.now - each.ended < BOUNDS.age_s]
        running = [each for each in self.running if each.place == place]
        kept = [each for each in self.kept if each.place == place]
        assert len(running) + len(kept) <= 1
        known = [each.fingerprint for each in running] + [each.fingerprint for each in kept]
        if known and known != [fingerprint]:
            assert verdict == Mismatch()
        elif running:
            assert isinstance(verdict, Running)
            assert 1 <= verdict.retry_after_s <= 60
        elif kept:
            assert verdict is kept[0].response
            self.kept.remove(kept[0])
            self.kept.append(kept[0])
        else:
            assert isinstance(verdict, Claim)
            self.running.append(verdict)
            self.held[id(verdict)] = 0
            return verdict
        return multiple()

    @rule(claim=claims, size=st.integers(1, 5_000))
    def hold(self, claim: Claim, size: int) -> None:
        held = self.held[id(claim)] + size
        fits = held <= BOUNDS.response_bytes and self.room_for(size)
        assert self.registry.hold(claim, size) is fits
        self.held[id(claim)] = held if fits else 0

    @rule(claim=consumes(claims), length=st.integers(0, 9_000))
    def keep(self, claim: Claim, length: int) -> None:
        made = response(length)
        self.running.remove(claim)
        del self.held[id(claim)]
        fits = made.size <= BOUNDS.response_bytes and self.room_for(made.size, 1)
        assert self.registry.keep(claim, made, self.now) is fits
        if fits:
            self.kept.append(Kept(claim.place, claim.fingerprint, made, self.now))

    @rule(claim=consumes(claims))
    def drop(self, claim: Claim) -> None:
        self.registry.drop(claim)
        self.running.remove(claim)
        del self.held[id(claim)]

    @invariant()
    def bounds_hold_and_all_bytes_are_counted(self) -> None:
        kept = sum(each.response.size for each in self.kept)
        assert self.registry.held_bytes == kept + sum(self.held.values()) <= BOUNDS.total_bytes
        assert len(self.registry) == len(self.kept) <= BOUNDS.entries


TestRegistry = RegistryMachine.TestCase
TestRegistry.settings = settings(max_examples=200, stateful_step_count=60)


def claimed(registry: Registry, key: int, now: float = 0.0) -> Claim:
    claim = registry.begin(Place("", bytes([key])), b"", now)
    assert isinstance(claim, Claim)
    return claim


def test_response_is_gone_at_its_age_and_frees_its_bytes() -> None:
    registry = Registry(BOUNDS)
    registry.keep(claimed(registry, 1), response(100), 10.0)

    assert registry.begin(Place("", b"\1"), b"", 69.9) == response(100)
    # The request of another key removes it too.
    claimed(registry, 2, 70.0)
    assert registry.held_bytes == 0


def test_use_does_not_extend_the_age() -> None:
    registry = Registry(BOUNDS)
    registry.keep(claimed(registry, 1), response(100), 0.0)
    registry.keep(claimed(registry, 2), response(100), 1.0)
    registry.begin(Place("", b"\1"), b"", 59.0)

    claimed(registry, 1, 60.0)
    assert isinstance(registry.begin(Place("", b"\2"), b"", 60.5), KeptResponse)


def test_wait_follows_the_usual_duration() -> None:
    registry = Registry(BOUNDS)
    registry.keep(claimed(registry, 1), response(0), 20.0)
    claimed(registry, 2, 21.0)

    verdict = registry.begin(Place("", b"\2"), b"", 26.0)
    assert verdict == Running(15.0)


def test_lower_bounds_remove_the_responses_used_least_recently() -> None:
    registry = Registry(BOUNDS)
    for key in range(3):
        registry.keep(claimed(registry, key), response(100), 0.0)
    registry.begin(Place("", b"\0"), b"", 1.0)
    registry.change(replace(BOUNDS, entries=2))

    assert len(registry) == 2
    claimed(registry, 1, 1.0)
    assert isinstance(registry.begin(Place("", b"\0"), b"", 1.0), KeptResponse)
    registry.change(replace(BOUNDS, entries=0))
    assert registry.held_bytes == 0


def test_response_that_is_too_long_evicts_nothing() -> None:
    registry = Registry(BOUNDS)
    registry.keep(claimed(registry, 1), response(100), 0.0)
    long = claimed(registry, 2)
    assert registry.hold(long, 8_000)
    assert not registry.hold(long, 1)
    assert not registry.keep(long, response(8_001), 0.0)

    assert len(registry) == 1
