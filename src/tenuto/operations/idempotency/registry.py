"""Keep responses in memory, within bounds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from tenuto.operations.idempotency.records import (
    Claim,
    KeptResponse,
    Mismatch,
    Place,
    Running,
    Verdict,
    wait_s,
)

# Weight of one duration in the average.
_WEIGHT = 1 / 8


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of what is kept.

    Attributes:
        total_bytes: Most bytes of all responses, running ones included.
        response_bytes: Most bytes of one response.
        entries: Most complete responses. The server's connections bound the running ones.
        age_s: Time for which a response is kept from its end on, in seconds.
    """

    total_bytes: int
    response_bytes: int
    entries: int
    age_s: float


@dataclass(frozen=True, slots=True)
class _Done:
    fingerprint: bytes
    response: KeptResponse
    ended: float


class Registry:
    """Responses by place. `now` is in seconds and never decreases.

    The responses used least recently make room for new ones. Those that are too old are removed by
    the next call of `begin`. Not thread-safe.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._running: dict[Place, Claim] = {}
        # In order of use.
        self._done: OrderedDict[Place, _Done] = OrderedDict()
        # The same places in order of age.
        self._ages: OrderedDict[Place, None] = OrderedDict()
        self._bytes = self._running_bytes = 0
        self._usual_s: float | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes of all responses, running ones included."""
        return self._bytes

    def __len__(self) -> int:
        """Return the number of complete responses."""
        return len(self._done)

    def change(self, bounds: Bounds) -> None:
        """Use other bounds from now on. The responses beyond them are removed.

        A running response that is longer than the new bounds stays within the old ones.
        """
        self._bounds = bounds
        while self._done and (self._bytes > bounds.total_bytes or len(self._done) > bounds.entries):
            self._remove(next(iter(self._done)))

    def begin(self, place: Place, fingerprint: bytes, now: float) -> Verdict:
        """Return the response of a place, the claim to make one, or the reason for neither.

        Each claim is ended by `keep` or `drop`, once.
        """
        self._remove_old(now)
        running = self._running.get(place)
        if running is not None:
            if running.fingerprint != fingerprint:
                return Mismatch()
            return self.running(now - running.began)
        done = self._done.get(place)
        if done is None:
            claim = self._running[place] = Claim(place, fingerprint, now)
            return claim
        if done.fingerprint != fingerprint:
            return Mismatch()
        self._done.move_to_end(place)
        return done.response

    def running(self, elapsed_s: float) -> Running:
        """Return the verdict about a request that has run for a time, in seconds."""
        return Running(wait_s(elapsed_s, self._usual_s))

    def hold(self, claim: Claim, size: int) -> bool:
        """Reserve room for the next bytes of a response.

        Returns:
            Whether they fit. If not, the response cannot be kept, and its room is given back; the
            place stays claimed.
        """
        held = claim.held + size
        if held <= self._bounds.response_bytes and self._make_room(size):
            self._hold(claim, held)
            return True
        self._hold(claim, 0)
        return False

    def keep(self, claim: Claim, response: KeptResponse, now: float) -> bool:
        """End a claim with its response.

        Returns:
            Whether the response fits the bounds and is kept.
        """
        self._end(claim, now)
        size = response.size
        if size > self._bounds.response_bytes or not self._make_room(size, entries=1):
            return False
        self._done[claim.place] = _Done(claim.fingerprint, response, now)
        self._ages[claim.place] = None
        self._bytes += size
        return True

    def drop(self, claim: Claim) -> None:
        """End a claim without a response: the next request with the key runs anew."""
        del self._running[claim.place]
        self._hold(claim, 0)

    def _hold(self, claim: Claim, held: int) -> None:
        self._bytes += held - claim.held
        self._running_bytes += held - claim.held
        claim.held = held

    def _end(self, claim: Claim, now: float) -> None:
        self.drop(claim)
        took = now - claim.began
        usual = self._usual_s
        self._usual_s = took if usual is None else usual + (took - usual) * _WEIGHT

    def _make_room(self, size: int, entries: int = 0) -> bool:
        """Remove complete responses until more fits. Return whether it does.

        Nothing is removed if the running ones leave no room.
        """
        most = self._bounds
        if self._running_bytes + size > most.total_bytes or entries > most.entries:
            return False
        while self._bytes + size > most.total_bytes or len(self._done) + entries > most.entries:
            self._remove(next(iter(self._done)))
        return True

    def _remove_old(self, now: float) -> None:
        while self._ages:
            oldest = next(iter(self._ages))
            if now - self._done[oldest].ended < self._bounds.age_s:
                return
            self._remove(oldest)

    def _remove(self, place: Place) -> None:
        self._bytes -= self._done.pop(place).response.size
        del self._ages[place]
