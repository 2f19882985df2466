"""Keeps a number of streamed requests open on a server, and notes when their text comes."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from tenuto.bench.figures import Figures, Outcome, figures
from tenuto.bench.prompts import Conversation, PromptSet, Sizes, conversation
from tenuto.wire.event_source import EventSource

_CONNECT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked.

    Attributes:
        kind: The set of prompts.
        sizes: How long they are.
        model: The name that is sent.
        max_tokens: Most tokens of a completion.
        temperature: 0 to 1.
        timeout_s: How long a server may be silent before the request counts as failed.
        seed: Of the prompts.
    """

    kind: PromptSet
    sizes: Sizes
    model: str
    max_tokens: int
    temperature: float
    timeout_s: float
    seed: int


@dataclass
class Level:
    """One concurrency, while it is measured and after.

    Attributes:
        concurrency: How many requests are open at a time.
        requests: How many are sent; None for as many as the duration allows.
        duration_s: How long new ones are sent; None for no end but their number. Those that run
            then are waited for.
        outcomes: Those that have ended.
        complete: Whether it ran to its end.
    """

    concurrency: int
    requests: int | None = None
    duration_s: float | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    complete: bool = False
    _cpu_started: float = field(default_factory=time.process_time)
    _cpu_ended: float | None = None

    def end(self) -> None:
        """It ran to its end."""
        self.complete = True
        self._cpu_ended = time.process_time()

    def figures(self) -> Figures:
        """What it came to, so far or in whole."""
        ended = time.process_time() if self._cpu_ended is None else self._cpu_ended
        cpu_s = ended - self._cpu_started
        return figures(self.concurrency, self.outcomes, cpu_s, complete=self.complete)


class Generator:
    """Sends the requests of a measurement.

    Args:
        base_url: The server's, without `/v1/complete`.
        headers: The key, if there is one.
        load: What is sent.
        transport: Another way to the server, for tests.

    Raises:
        ValueError: The address is not one, or a header has letters that are not ASCII.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        load: Load,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = f"{base_url.rstrip('/').removesuffix('/v1')}/v1/complete"
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("the address must be one like http://127.0.0.1:8000")
        _ = url.port  # A port that is not a number is a ValueError.
        self._headers = {"anthropic-version": "2023-06-01", **headers}
        for name, value in self._headers.items():
            if not (f"{name}{value}".isascii() and f"{name}{value}".isprintable()):
                raise ValueError(f"the header {name!a} has letters that are not printable ASCII")
        self._load = load
        self._transport = transport
        self._numbers = itertools.count()

    async def warm_up(self) -> str | None:
        """Sends one short request that is not measured. Gives the reason if it fails."""
        async with self._client(1) as client:
            # Its own seed: it must not fill the cache with what is measured.
            load = self._load
            prompt = conversation(load.kind, load.sizes, load.seed + 1, 0).prompt([])
            return (await self._ask(client, prompt))[0].failure

    async def run(self, level: Level, on_progress: Callable[[float], object]) -> None:
        """Measures one concurrency.

        Args:
            level: Filled with what comes; it holds what there is when this is cancelled.
            on_progress: Told the share that is done, 0 to 1, after every request.
        """
        started = time.perf_counter()
        sent = 0

        def may_send() -> bool:
            nonlocal sent
            if level.requests is not None and sent >= level.requests:
                return False
            # Each of those at once sends one at any rate, or a short time would measure nothing.
            if (
                level.duration_s is not None
                and sent >= level.concurrency
                and time.perf_counter() - started >= level.duration_s
            ):
                return False
            sent += 1
            return True

        def note(outcome: Outcome) -> None:
            level.outcomes.append(outcome)
            by_time = (time.perf_counter() - started) / (level.duration_s or float("inf"))
            by_count = len(level.outcomes) / (level.requests or float("inf"))
            on_progress(min(1.0, max(by_time, by_count)))

        async with self._client(level.concurrency) as client:
            async with asyncio.TaskGroup() as group:
                for _ in range(level.concurrency):
                    group.create_task(self._user(client, may_send, note))
        level.end()

    async def _user(
        self,
        client: httpx2.AsyncClient,
        may_send: Callable[[], bool],
        note: Callable[[Outcome], None],
    ) -> None:
        """Someone who asks, reads, and asks again."""
        for talk in self._conversations():
            answers: list[str] = []
            while len(answers) < len(talk.questions):
                if not may_send():
                    return
                outcome, text = await self._ask(client, talk.prompt(answers))
                note(outcome)
                if outcome.failure is not None:
                    break
                answers.append(text)

    def _conversations(self) -> Iterator[Conversation]:
        load = self._load
        for number in self._numbers:
            yield conversation(load.kind, load.sizes, load.seed, number)

    async def _ask(self, client: httpx2.AsyncClient, prompt: str) -> tuple[Outcome, str]:
        """One request; what came of it, and its text."""
        answer = _Answer()
        body = {
            "model": self._load.model,
            "prompt": prompt,
            "max_tokens_to_sample": self._load.max_tokens,
            "temperature": self._load.temperature,
            "stream": True,
        }
        sent = time.perf_counter()
        failure = None
        try:
            async with client.stream("POST", self._url, json=body) as response:
                if response.status_code == httpx2.codes.OK:
                    async for data in response.aiter_raw():
                        answer.push(data)
                    failure = answer.failure()
                else:
                    failure = _refusal(response.status_code, await response.aread())
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            failure = _reason(error)
        except (ValueError, KeyError, TypeError):
            failure = "an answer that is none of this API"
        ended = time.perf_counter()
        reason = answer.stop_reason if failure is None else None
        asked = self._load.max_tokens
        outcome = Outcome(sent, tuple(answer.times), ended, reason, asked, failure)
        return outcome, "".join(answer.texts)

    def _client(self, connections: int) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers=self._headers,
            limits=httpx2.Limits(max_connections=connections),
            timeout=httpx2.Timeout(self._load.timeout_s, connect=_CONNECT_S),
            transport=self._transport,
        )


class _Answer:
    """A stream that is read."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.times: list[float] = []
        self.stop_reason: str | None = None
        self._error: str | None = None
        self._source = EventSource()

    def push(self, data: bytes) -> None:
        now = time.perf_counter()
        for event in self._source.push(data):
            content: Any = json.loads(event.data) if event.data else {}
            if event.name == "completion":
                if content["completion"]:
                    self.texts.append(content["completion"])
                    self.times.append(now)
                self.stop_reason = content["stop_reason"] or self.stop_reason
            elif event.name == "error":
                self._error = _kind(content)

    def failure(self) -> str | None:
        if self._error is not None:
            return f"{self._error} in the stream"
        return None if self.stop_reason else "the stream broke off"


# In the order of their tests: the first class that an error has counts.
_KINDS: Final = (
    (httpx2.ConnectTimeout, f"cannot connect within {_CONNECT_S:g} s"),
    (httpx2.TimeoutException, "no answer within --timeout"),
    (httpx2.ConnectError, "cannot connect"),
    (httpx2.NetworkError, "the connection broke"),
    (httpx2.RemoteProtocolError, "the connection broke, or what came is not HTTP"),
)


def _reason(error: BaseException) -> str:
    """Return the kind of an error, and what the system says of it if that is below."""
    if isinstance(error, httpx2.ProxyError | httpx2.UnsupportedProtocol):
        # The transport's own words, which name the variable and the remedy.
        return " ".join(str(error).split())
    words = (words for kind, words in _KINDS if isinstance(error, kind))
    name = next(words, type(error).__name__)
    below: list[BaseException] = [error]
    while below:
        each = below.pop()
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"{name}: its certificate is not trusted ({each.verify_message})"
        if isinstance(each, ssl.SSLError):
            # Its number is not one of the system's.
            return f"{name}: TLS failed ({each.reason or 'no reason is given'})"
        if isinstance(each, OSError) and each.strerror:
            # The library adds the address to the words of the system.
            number = each.errno or 0
            return f"{name}: {os.strerror(number) if number > 0 else each.strerror}"
        inner = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        below += [more for more in (*inner, each.__cause__ or each.__context__) if more]
    return name


def _refusal(status: int, body: bytes) -> str:
    try:
        return f"{status} {_kind(json.loads(body))}"
    except ValueError:
        return str(status)


def _kind(body: Any) -> str:
    """The type of an error in the API's envelope."""
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("type")) if isinstance(error, dict) else "error"
