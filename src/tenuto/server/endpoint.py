"""The endpoint of a dialect, for requests of completions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from tenuto.core.job import Accepted, Caller
from tenuto.engine.base import Engine
from tenuto.operations.admission import Admission
from tenuto.operations.records import Delivery, RequestRecord
from tenuto.server.auth import Keys
from tenuto.server.body import (
    BodyBudget,
    BodyReader,
    Reservation,
    check_announced_size,
    most_body_bytes,
)
from tenuto.server.client_gone import ClientGone, while_connected
from tenuto.server.event_stream import send_events
from tenuto.server.request_headers import combined
from tenuto.server.responses import send_json, send_parts
from tenuto.server.shutdown import Shutdown
from tenuto.service import Completions
from tenuto.settings import Settings
from tenuto.slices import Slices
from tenuto.stream.collect import collect
from tenuto.stream.meter import Meter
from tenuto.wire.dialect import Dialect, Exchange
from tenuto.wire.names import resolve, retired_on

_log = logging.getLogger("tenuto.server")


class RetirementNotices:
    """The notices of one server, each logged once a day."""

    def __init__(self) -> None:
        self._logged: dict[str, date] = {}

    def notice(self, requested: str, served: str) -> str | None:
        """Return the notice for the `warning` header and log it; None for a current model."""
        end, today = retired_on(resolve(requested)), datetime.now(UTC).date()
        if end is None or end > today:
            return None
        text = (
            f"{requested} was retired on {end:%B} {end.day}, {end.year}; {served} answers instead"
        )
        if self._logged.get(requested) != today:
            self._logged[requested] = today
            _log.warning("%s", text)
        return text


@dataclass
class Shared:
    """The parts of a server that all its endpoints share."""

    settings: Settings
    engine: Engine
    shutdown: Shutdown
    admissions: Sequence[Admission] = ()

    def __post_init__(self) -> None:
        self.keys: Keys = Keys(self.settings.server.api_keys)
        self.budget: BodyBudget = BodyBudget(self.settings.limits.max_bytes_in_flight)
        self.slices: Slices = Slices()
        self.notices: RetirementNotices = RetirementNotices()


class Endpoint:
    """The endpoint of one dialect, streamed or not. `docs/journey.md` lists its steps."""

    def __init__(self, dialect: Dialect[Any], shared: Shared) -> None:
        self._dialect = dialect
        self._shared = shared
        strict = shared.settings.api.strict_models
        self._completions = Completions(shared.engine, dialect.check_model if strict else None)
        self._bodies = BodyReader(shared.settings.limits, dialect, shared.slices)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shared, dialect = self._shared, self._dialect
        longest = shared.engine.capabilities.longest_prompt
        most = most_body_bytes(shared.settings.limits, longest)
        check_announced_size(scope, most)
        caller = shared.keys.caller(scope)
        record: RequestRecord = scope["record"]
        record.caller = caller.id
        version = dialect.version(combined(scope, b"anthropic-version"))
        meter = Meter()
        with Reservation(shared.budget) as held:
            try:
                with shared.shutdown.interruptible():
                    body = await self._bodies.read(scope, receive, most, held)
                exchange = dialect.check(body, version)
                record.requested_model, record.stream = exchange.model, exchange.stream
                answer = self._answer(record, send, exchange, caller, meter)
                await while_connected(answer, scope, receive)
            except (ClientDisconnect, ClientGone):
                record.outcome = record.outcome or meter.outcome or Delivery.DISCONNECTED
            finally:
                record.usage = meter.usage()
                if meter.first_token_at is not None:
                    record.first_token_seconds = meter.first_token_at - record.clock
                    record.token_gaps = meter.gaps()
                record.outcome = record.outcome or meter.outcome

    async def _answer(
        self, record: RequestRecord, send: Send, exchange: Exchange, caller: Caller, meter: Meter
    ) -> None:
        shared = self._shared
        sampling = exchange.sampling()
        self._completions.check(exchange.model, sampling)
        request = await shared.slices.run(exchange.request(sampling, caller), exchange.size)
        async with AsyncExitStack() as leases:
            # A refusal before the job is accepted becomes a status.
            with shared.shutdown.interruptible():
                for admission in shared.admissions:
                    await leases.enter_async_context(admission.lease(caller, request))
                running = await self._completions.run(request, meter)
            async with aclosing(running):
                accepted = running.accepted
                record.upstream = accepted.upstream
                model = accepted.model or shared.engine.capabilities.model or exchange.model
                record.served_model = model
                headers = self._headers(exchange.model, model, accepted)
                if exchange.stream:
                    await send_events(
                        running.events,
                        exchange.encoder(model),
                        send,
                        headers=headers,
                        record=record,
                        ping_interval_s=shared.settings.server.ping_interval_s,
                        shutdown=shared.shutdown,
                    )
                    return
                with shared.shutdown.interruptible():
                    completed = await collect(running.events)
                added, body = exchange.whole(model, completed)
                headers |= added
                if isinstance(body, bytes):
                    await send_json(body, headers, send)
                else:
                    await send_parts(body, headers, send)

    def _headers(self, requested: str, model: str, accepted: Accepted) -> dict[str, str]:
        """Return headers for deviations from the request, and the upstream."""
        retired = self._shared.notices.notice(requested, model)
        warnings = [*([retired] if retired else []), *accepted.warnings]
        headers = {}
        if warnings:
            headers["warning"] = ", ".join(f'299 - "{_quotable(text)}"' for text in warnings)
        if accepted.upstream is not None:
            headers["tenuto-upstream"] = _quotable(accepted.upstream)
        return headers


def _quotable(text: str) -> str:
    """Return a text in printable ASCII, escaped for a quoted string in a header."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(char if " " <= char <= "~" else "?" for char in text)
    return text.replace("\\", "\\\\").replace('"', '\\"')
