"""POST /v1/complete."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from tenuto.engine.base import Engine, Job
from tenuto.prompt.long_prompt import LongPrompt, parse_long_prompt
from tenuto.prompt.turns import Prompt, parse_prompt, raw_prompt
from tenuto.server.accepted import (
    RetirementNotices,
    check_betas,
    check_extensions,
    check_model,
)
from tenuto.server.auth import Keys, caller_key
from tenuto.server.body import BodyReader, check_announced_size, most_body_bytes
from tenuto.server.body_budget import BodyBudget, Reservation
from tenuto.server.client_gone import ClientGone, while_connected
from tenuto.server.event_stream import send_events
from tenuto.server.request_headers import combined
from tenuto.server.request_log import RequestRecord
from tenuto.server.response_headers import with_headers
from tenuto.server.responses import JsonResponse, send_parts
from tenuto.server.shutdown import Shutdown
from tenuto.settings import Settings
from tenuto.slices import Slices
from tenuto.stream.extensions import extended
from tenuto.stream.meter import Meter
from tenuto.stream.pipe import collect, job_of, run
from tenuto.wire.errors import InvalidRequest
from tenuto.wire.events import Accepted, Event
from tenuto.wire.extensions import ExtendedRequest
from tenuto.wire.field_limits import FieldLimits
from tenuto.wire.ids import completion_id
from tenuto.wire.long_text import LongText
from tenuto.wire.request import CompletionRequest, check_fields
from tenuto.wire.sse import encoder_of
from tenuto.wire.versions import Version, parse_version


@dataclass(frozen=True, slots=True)
class Channel:
    """One request, as ASGI gives it."""

    scope: Scope
    receive: Receive
    send: Send


class CompleteEndpoint:
    """Answers one request, plain or streamed. The steps are those of `docs/journey.md`."""

    def __init__(self, engine: Engine, settings: Settings, keys: Keys, shutdown: Shutdown) -> None:
        self._engine = engine
        self._settings = settings
        self._keys = keys
        self._shutdown = shutdown
        self._notices = RetirementNotices()
        self._kind = ExtendedRequest if settings.api.extensions else CompletionRequest
        limits = settings.limits
        self._field_limits = FieldLimits(
            json_depth=limits.max_json_depth,
            stop_sequences=limits.max_stop_sequences,
            stop_sequence_chars=limits.max_stop_sequence_chars,
            stop_sequences_total_chars=limits.max_stop_sequences_total_chars,
        )
        self._budget = BodyBudget(limits.max_bytes_in_flight)
        self._slices = Slices()
        self._bodies = BodyReader(limits, self._field_limits, self._slices)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of the route."""
        request = Request(scope, receive)
        status = await self._engine.ping()
        most = most_body_bytes(self._settings.limits, status.longest_prompt)
        check_announced_size(request.headers, most)
        self._keys.check(request.headers)
        version = parse_version(combined(scope, b"anthropic-version"))
        check_betas(request.headers.getlist("anthropic-beta"), self._settings.api)
        channel = Channel(scope, receive, send)
        with self._budget.reservation() as held:
            await self._complete(request, version, channel, most, held)

    async def _complete(
        self, request: Request, version: Version, channel: Channel, most: int, held: Reservation
    ) -> None:
        record: RequestRecord = channel.scope["record"]
        meter = record.meter = Meter()
        try:
            with self._shutdown.interruptible():
                fields = await self._bodies.read(request, most, held)
            asked = check_fields(fields, version, self._field_limits, self._kind)
            record.model, record.stream = asked.model, asked.stream
            if self._settings.api.strict_models:
                check_model(asked.model, (await self._engine.ping()).names())
            if isinstance(asked, ExtendedRequest):
                check_extensions(asked, await self._engine.ping())
            prompt = await self._prompt(asked.prompt)
            job = job_of(asked, prompt, key=caller_key(request.headers))
            events = self._events(asked, job, meter)
            await while_connected(self._answer(asked, events, version, channel), channel.receive)
        except (ClientDisconnect, ClientGone):
            record.end = record.end or meter.ended or "client_left"
        finally:
            record.end = record.end or meter.ended

    def _events(
        self, asked: CompletionRequest, job: Job, meter: Meter
    ) -> AsyncGenerator[Event, None]:
        events = run(job, self._engine, asked.stop_sequences, meter)
        return extended(events, asked, meter) if isinstance(asked, ExtendedRequest) else events

    async def _prompt(self, text: str | LongText) -> Prompt:
        most = self._settings.limits.max_turns
        try:
            if isinstance(text, LongText):
                return await self._slices.run(parse_long_prompt(text, most))
            return await self._slices.call(lambda: parse_prompt(text, most), len(text))
        except InvalidRequest:
            if not self._settings.api.lenient_prompts:
                raise
            return LongPrompt(text) if isinstance(text, LongText) else raw_prompt(text)

    async def _answer(
        self,
        asked: CompletionRequest,
        events: AsyncGenerator[Event, None],
        version: Version,
        channel: Channel,
    ) -> None:
        name = completion_id()
        async with aclosing(events):
            # An error until this first event is raised, and becomes a status.
            with self._shutdown.interruptible():
                first = await anext(events)
            told = first if isinstance(first, Accepted) else Accepted()
            record: RequestRecord = channel.scope["record"]
            record.upstream = told.upstream
            model = told.model or (await self._engine.ping()).model or asked.model
            send = with_headers(channel.send, self._told(asked.model, model, told))
            if not asked.stream:
                with self._shutdown.interruptible():
                    completion = await collect(_joined(first, events), name, model)
                headers = completion.usage.headers() if completion.usage is not None else None
                if isinstance(completion.completion, LongText):
                    await send_parts(completion.parts(version), headers or {}, send)
                    return
                response = JsonResponse(completion.body(version), headers=headers)
                await response(channel.scope, channel.receive, send)
                return
            await send_events(
                _joined(first, events),
                encoder_of(version, name, model),
                send,
                record=record,
                ping_interval_s=self._settings.server.ping_interval_s,
                shutdown=self._shutdown,
            )

    def _told(self, asked: str, model: str, told: Accepted) -> dict[str, str]:
        """The headers that say what was done otherwise than asked."""
        retired = self._notices.notice(asked, model)
        warnings = [*([retired] if retired else []), *told.warnings]
        headers = {}
        if warnings:
            headers["warning"] = ", ".join(f'299 - "{_quotable(text)}"' for text in warnings)
        if told.upstream is not None:
            headers["tenuto-upstream"] = _quotable(told.upstream)
        return headers


async def _joined(first: Event, events: AsyncIterable[Event]) -> AsyncGenerator[Event, None]:
    yield first
    async for event in events:
        yield event


def _quotable(text: str) -> str:
    """A text as it may stand in quotes in a header: no other characters than printable ASCII."""
    kept = "".join(char if " " <= char <= "~" else "?" for char in text)
    return kept.replace("\\", "\\\\").replace('"', '\\"')
