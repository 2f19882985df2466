"""The recordings of a cassette by their keys."""

from __future__ import annotations

import re
from bisect import insort
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tenuto.cassette.exchange import Exchange, InvalidLine, counts_tokens
from tenuto.cassette.file import CassetteError, CassetteReader, Place
from tenuto.cassette.request import key_of, prompt_key
from tenuto.cassette.scrubbing import Scrubber


class Index:
    """The recordings of a cassette, each to be replayed once. Only their places are in memory.

    Args:
        path: The cassette.
        scrubber: Removes secrets from requests before they are compared, recorded ones included,
            so that a cassette recorded with fewer patterns is found with more of them.

    Attributes:
        models: The names of models in requests and answers.
        damaged: The number of each line that is no recording, with the reason.
        total: Number of the recordings.

    Raises:
        CassetteError: The file cannot be read.
    """

    def __init__(self, path: Path, scrubber: Scrubber) -> None:
        self.path = path
        self.scrubber = scrubber
        try:
            self.reader = CassetteReader(path)
        except OSError as error:
            raise CassetteError(f"{path}: {error.strerror}") from None
        self.models: tuple[str, ...] = ()
        self.damaged: list[tuple[int, str]] = []
        self.total = 0
        self._queues: dict[bytes, deque[Place]] = {}
        self._ranks: dict[int, int] = {}
        self._totals: dict[bytes, int] = {}
        self._counts: dict[bytes, int] = {}
        self._counts_by_prompt: dict[bytes, int] = {}
        self._read()

    def _read(self) -> None:
        models: dict[str, None] = {}
        found: list[tuple[str, bytes, Place]] = []
        for place, exchange in self.reader.exchanges():
            if isinstance(exchange, InvalidLine):
                self.damaged.append((place.number, str(exchange)))
                continue
            self.total += 1
            request = self.scrubber.value(dict(exchange.request))
            key = bytes.fromhex(key_of(request))
            self._count(exchange, request, key)
            answering = (exchange.upstream or {}).get("model")
            models |= {name: None for name in (request.get("model"), answering) if name}
            if not counts_tokens(exchange) or exchange.error is not None:
                found.append((exchange.at, key, place))
        # In the order in which they began; lines are in that in which they ended.
        found.sort(key=lambda each: each[0])
        self._ranks = {place.number: rank for rank, (_, _, place) in enumerate(found)}
        for _, key, place in found:
            self._queues.setdefault(key, deque()).append(place)
        self._totals = {key: len(queue) for key, queue in self._queues.items()}
        self.models = tuple(models)

    def _count(self, exchange: Exchange, request: dict[str, Any], key: bytes) -> None:
        tokens = (exchange.usage or {}).get("input_tokens")
        if tokens is None:
            return
        if counts_tokens(exchange):
            self._counts[key] = tokens
        else:
            self._counts_by_prompt[bytes.fromhex(prompt_key(request))] = tokens

    @property
    def left(self) -> int:
        """Number of recordings that were not replayed yet."""
        return sum(map(len, self._queues.values()))

    def take(self, request: dict[str, Any]) -> Place | None:
        """Return the place of the next recording of a scrubbed request; None if none is left."""
        queue = self._queues.get(bytes.fromhex(key_of(request)))
        return queue.popleft() if queue else None

    def give_back(self, request: dict[str, Any], place: Place) -> None:
        """Let a recording be replayed again, in its order among those of its request."""
        queue = self._queues[bytes.fromhex(key_of(request))]
        insort(queue, place, key=lambda each: self._ranks[each.number])

    def recorded(self, request: dict[str, Any]) -> int:
        """Return how often a request was recorded."""
        return self._totals.get(bytes.fromhex(key_of(request)), 0)

    def tokens(self, request: dict[str, Any]) -> int | None:
        """Return the recorded count of a scrubbed request's input tokens, or None.

        Without a count, a completion of the same prompt by the same model has one.
        """
        found = self._counts.get(bytes.fromhex(key_of(request)))
        if found is None:
            found = self._counts_by_prompt.get(bytes.fromhex(prompt_key(request)))
        return found

    def close(self) -> None:
        """Close the file."""
        self.reader.close()


def scrubber_of(patterns: Sequence[str], secrets: Sequence[str] = ()) -> Scrubber:
    """Return a scrubber.

    Raises:
        CassetteError: A pattern is invalid.
    """
    try:
        return Scrubber(patterns, secrets)
    except re.error as error:
        raise CassetteError(f"{error.pattern!r} is no regular expression: {error}") from None
    except ValueError as error:
        raise CassetteError(str(error)) from None
