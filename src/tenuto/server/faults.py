"""Faults by rules: failures that tests of clients need, injected into completions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenuto.core.patterns import compile_patterns
from tenuto.core.refusal import Kind, Refusal, overloaded
from tenuto.core.spoiling import Spoiling
from tenuto.operations.records import Delivery
from tenuto.server.client_gone import EXTENSION
from tenuto.server.shutdown import Shutdown
from tenuto.settings.faults import FaultRule, FaultSettings

_GARBAGE_EVENT: Final = b'event: completion\ndata: {"completion": "\xff\x00<html>\n\n'
_GARBAGE: Final = b"<html>\xff\x00</html>"
_MOST_CANCEL_S: Final = 1.0
# In parts of a body, each of at most 64 KiB.
_MOST_DISCARDED: Final = 100
_BY_STATUS: Final = ("rate_limited", "overloaded")

_log = logging.getLogger("tenuto.faults")


class Faults:
    """The rules of one server, with their counts.

    Attributes:
        injected: Number of faults that requests got.
    """

    def __init__(self, settings: FaultSettings) -> None:
        self._rules = [(rule, compile_patterns(rule.paths), _Count()) for rule in settings.fault]
        self._chance = Random(settings.seed)
        self.injected = 0

    def draw(self, path: str) -> list[FaultRule]:
        """Return the faults of the next request: delays, and at most one other, the last."""
        found: list[FaultRule] = []
        for rule, paths, count in self._rules:
            if paths.fullmatch(path) and count.hits(rule, self._chance):
                found.append(rule)
                if rule.kind != "delay":
                    break
        self.injected += len(found)
        return found


class _Count:
    """The requests that reached a rule, and those that it hit."""

    def __init__(self) -> None:
        self._requests = 0
        self._hits = 0

    def hits(self, rule: FaultRule, chance: Random) -> bool:
        """Count a request, and return whether the rule hits it."""
        number, self._requests = self._requests - rule.after, self._requests + 1
        if number < 0 or number % rule.every or self._hits == rule.times:
            return False
        if rule.share < 1 and chance.random() >= rule.share:
            return False
        self._hits += 1
        return True


class FaultyEndpoint:
    """An endpoint whose requests get faults. It is called for requests that get none as before."""

    def __init__(self, endpoint: ASGIApp, faults: Faults, shutdown: Shutdown) -> None:
        self._endpoint = endpoint
        self._faults = faults
        self._shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rules = self._faults.draw(scope["path"])
        cut: Callable[[], None] | None
        cut = scope.get("extensions", {}).get(EXTENSION, {}).get("cut")
        for rule in rules:
            _log.info("fault `%s`", rule.kind)
            if rule.kind == "delay" and not rule.events:
                with self._shutdown.interruptible():
                    await asyncio.sleep(rule.seconds)
            elif rule.kind in _BY_STATUS:
                raise _refusal(rule)
            elif rule.kind == "disconnect" and not rule.events:
                # Before the engine gets the job, so that a replay keeps the recording.
                await _read_some(receive)
                scope["record"].outcome = Delivery.DISCONNECTED
                await _end(cut)
                return
        later = [each for each in rules if each.kind != "delay" or each.events]
        if later:
            spoiling = scope["record"].spoiling = Spoiling()
            send = _FaultySend(send, later, cut, spoiling).send
        await self._endpoint(scope, receive, send)


def _refusal(rule: FaultRule) -> Refusal:
    wait = rule.retry_after or None
    if rule.kind == "overloaded":
        return overloaded(retry_after=wait)
    message = "This request would exceed a rate limit: a rule of --faults refuses it."
    return Refusal(Kind.RATE_LIMITED, message, retry_after=wait)


class _FaultySend:
    """The messages of one response, with faults.

    Args:
        send: Sends a message.
        rules: The faults.
        cut: Ends the connection; None in memory, without one.
        spoiling: Called before the first bytes that are wrong or missing.
    """

    def __init__(
        self,
        send: Send,
        rules: Sequence[FaultRule],
        cut: Callable[[], None] | None,
        spoiling: Spoiling,
    ) -> None:
        self._send = send
        self._rules = rules
        self._cut = cut
        self._spoiling = spoiling
        self._is_stream = False
        self._is_text = False
        self._is_over = False
        self._events = 0

    async def send(self, message: Message) -> None:
        """Send a message, unless the connection is cut."""
        if self._is_over:
            return
        if message["type"] == "http.response.start":
            headers = dict(message["headers"])
            self._is_stream = b"content-length" not in headers
            self._is_text = headers.get(b"content-type", b"").startswith(b"text/event-stream")
            await self._send(message)
            await self._after_events()
            return
        if not self._is_stream:
            message = self._damaged(message)
        await self._send(message)
        if self._is_over:
            # The first half of a response that does not stream.
            await self._end()
        elif message.get("body"):
            self._events += message["body"].count(b"\n\n") if self._is_text else 1
            await self._after_events()

    def _damaged(self, message: Message) -> Message:
        """Return a part of a response that does not stream, with the length that it had."""
        body = message.get("body", b"")
        for rule in self._rules:
            if rule.kind != "delay":
                self._spoiling.spoil()
            if rule.kind == "garbage":
                repeated = _GARBAGE * (len(body) // len(_GARBAGE) + 1)
                return {**message, "body": repeated[: len(body)]}
            if rule.kind == "disconnect":
                self._is_over = True
                return {**message, "body": body[: len(body) // 2], "more_body": True}
        return message

    async def _after_events(self) -> None:
        """Let the faults come whose number of events is reached."""
        if not self._is_stream:
            return
        for rule in list(self._rules):
            if rule.events > self._events:
                continue
            self._rules = [each for each in self._rules if each is not rule]
            if rule.kind == "delay":
                await asyncio.sleep(rule.seconds)
                continue
            self._spoiling.spoil()
            if rule.kind == "garbage":
                data = _GARBAGE_EVENT if self._is_text else _GARBAGE
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
            else:
                await self._end()
                return

    async def _end(self) -> None:
        self._is_over = True
        await _end(self._cut)


async def _end(cut: Callable[[], None] | None) -> None:
    """End the connection, and let the disconnect cancel this task where it waits."""
    if cut is None:
        raise ConnectionAbortedError("a rule of --faults")
    asyncio.get_running_loop().call_soon(cut)
    await asyncio.sleep(_MOST_CANCEL_S)


async def _read_some(receive: Receive) -> None:
    """Discard the body, unless it is very long: a close with unread data resets the connection."""
    for _ in range(_MOST_DISCARDED):
        if not (await receive()).get("more_body", False):
            return
