"""Keep a number of streamed requests open on a server, and record when their text arrives."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from tenuto.bench.figures import Figures, Outcome, figures
from tenuto.bench.prompts import PromptSet, Sizes, conversation
from tenuto.wire.event_source import EventSource

# Seconds after which a connection attempt fails.
_CONNECT_S: Final = 10.0

# The first class that matches decides.
_REASONS: Final = (
    (httpx2.ConnectTimeout, f"cannot connect within {_CONNECT_S:g} s"),
    (httpx2.TimeoutException, "no answer within --timeout"),
    (httpx2.ConnectError, "cannot connect"),
    (httpx2.NetworkError, "the connection broke"),
    (httpx2.RemoteProtocolError, "the connection broke, or the response is not HTTP"),
)


@dataclass(frozen=True, slots=True)
class Load:
    """The parameters of all requests.

    Attributes:
        temperature: 0 to 1.
        timeout_s: Longest silence of the server before a request counts as failed.
        seed: Seed of the prompts.
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
    """One level of concurrency, while it is measured and after.

    Attributes:
        requests: Number of requests; None if the duration decides.
        duration_s: Time in which requests are sent; None if their number decides. Running requests
            are awaited after it.
        outcomes: All requests that ended.
        complete: Whether the level ran to its end.
        cpu_s: Processor time of the client, in seconds.
    """

    concurrency: int
    requests: int | None = None
    duration_s: float | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    complete: bool = False
    cpu_s: float = 0.0

    def figures(self) -> Figures:
        """Return the figures so far."""
        return figures(self.concurrency, self.outcomes, self.cpu_s, complete=self.complete)


class Generator:
    """Send the requests of a measurement to a server, whose URL lacks `/v1/complete`."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        load: Load,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = f"{base_url.rstrip('/').removesuffix('/v1')}/v1/complete"
        self._headers = {"anthropic-version": "2023-06-01", **headers}
        self._load = load
        self._transport = transport
        self._numbers = itertools.count()

    async def warm_up(self) -> str | None:
        """Send one request before the measurement; return the reason of a failure."""
        async with self._client(1) as client:
            # With another seed, so that the cache gets no prompt of the measurement.
            load = self._load
            prompt = conversation(load.kind, load.sizes, load.seed + 1, 0).prompt([])
            return (await self._complete(client, prompt))[0].failure

    async def run(self, level: Level, on_progress: Callable[[float], object]) -> None:
        """Measure one level, which collects the outcomes, also up to a cancellation.

        `on_progress` is called after every request with the share that is done, 0 to 1.
        """
        load = self._load
        started, cpu_started = time.perf_counter(), time.process_time()
        sent = 0

        def may_send() -> bool:
            nonlocal sent
            if level.requests is not None and sent >= level.requests:
                return False
            # Every concurrent client sends one request, however short the duration is.
            limit_s = float("inf") if level.duration_s is None else level.duration_s
            if sent >= level.concurrency and time.perf_counter() - started >= limit_s:
                return False
            sent += 1
            return True

        def note(outcome: Outcome) -> None:
            level.outcomes.append(outcome)
            by_time = (time.perf_counter() - started) / (level.duration_s or float("inf"))
            by_count = len(level.outcomes) / (level.requests or float("inf"))
            on_progress(min(1.0, max(by_time, by_count)))

        async def send_in_turn() -> None:
            for number in self._numbers:
                talk = conversation(load.kind, load.sizes, load.seed, number)
                answers: list[str] = []
                while len(answers) < len(talk.questions):
                    if not may_send():
                        return
                    outcome, text = await self._complete(client, talk.prompt(answers))
                    note(outcome)
                    if outcome.failure is not None:
                        break
                    answers.append(text)

        try:
            async with self._client(level.concurrency) as client, asyncio.TaskGroup() as group:
                for _ in range(level.concurrency):
                    group.create_task(send_in_turn())
            level.complete = True
        finally:
            level.cpu_s = time.process_time() - cpu_started

    async def _complete(self, client: httpx2.AsyncClient, prompt: str) -> tuple[Outcome, str]:
        """Send one request; return its outcome and its text."""
        answer = _StreamedAnswer()
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
            failure = "a response that is invalid in this API"
        ended = time.perf_counter()
        stop_reason = answer.stop_reason if failure is None else None
        limit = self._load.max_tokens
        outcome = Outcome(sent, tuple(answer.times), ended, stop_reason, limit, failure)
        return outcome, "".join(answer.texts)

    def _client(self, connections: int) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers=self._headers,
            limits=httpx2.Limits(max_connections=connections),
            timeout=httpx2.Timeout(self._load.timeout_s, connect=_CONNECT_S),
            transport=self._transport,
        )


class _StreamedAnswer:
    """The events of one response, while it arrives."""

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
                self._error = _error_type(content)

    def failure(self) -> str | None:
        if self._error is not None:
            return f"{self._error} in the stream"
        return None if self.stop_reason else "the stream broke off"


def _reason(error: BaseException) -> str:
    """Return the reason of an error, with the operating system's message if it has one."""
    if isinstance(error, httpx2.ProxyError | httpx2.UnsupportedProtocol):
        # Its message names the variable and the remedy.
        return " ".join(str(error).split())
    matching = (text for kind, text in _REASONS if isinstance(error, kind))
    name = next(matching, type(error).__name__)
    below: list[BaseException] = [error]
    while below:
        each = below.pop()
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"{name}: its certificate is not trusted ({each.verify_message})"
        if isinstance(each, ssl.SSLError):
            # Its number is not the operating system's.
            return f"{name}: TLS failed ({each.reason or 'without a reason'})"
        if isinstance(each, OSError) and each.strerror:
            # The library adds the address to the message.
            number = each.errno or 0
            return f"{name}: {os.strerror(number) if number > 0 else each.strerror}"
        inner = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        below += [more for more in (*inner, each.__cause__ or each.__context__) if more]
    return name


def _refusal(status: int, body: bytes) -> str:
    """Return the reason of an error response."""
    try:
        return f"{status} {_error_type(json.loads(body))}"
    except ValueError:
        return str(status)


def _error_type(body: Any) -> str:
    """Return the type of an error in the API's envelope."""
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("type")) if isinstance(error, dict) else "error"
