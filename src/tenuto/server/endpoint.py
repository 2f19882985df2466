"""The endpoint of a dialect, for requests of completions."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from tenuto.core.job import Accepted, Caller, Request
from tenuto.core.prompt import Prompt
from tenuto.core.refusal import Kind, Refusal
from tenuto.engine.base import CountsInput
from tenuto.engine.nodes.report import HEADER
from tenuto.operations.accounts.account import Account
from tenuto.operations.records import Delivery, RequestRecord
from tenuto.server.auth import Authenticate, authenticated
from tenuto.server.body import Reservation
from tenuto.server.client_gone import ClientGone, while_connected
from tenuto.server.event_stream import send_events
from tenuto.server.intake import Intake, check_access, head_of
from tenuto.server.load_report import load_report
from tenuto.server.responses import send_json, send_parts
from tenuto.server.settlement import Settlement
from tenuto.server.shape import shape_of
from tenuto.server.shared import Shared
from tenuto.service import Completions
from tenuto.stream.collect import collect
from tenuto.stream.meter import Meter
from tenuto.wire.completions.dialect import CompletionsDialect
from tenuto.wire.dialect import Dialect, Exchange

# Prompts are counted by the worker or the upstream. English has more than 4 bytes a token, code and
# Chinese more than 3, with vocabularies of 100,000 tokens. A larger number is a debt at the end.
_BYTES_OF_A_TOKEN: Final = 3
_TOKENS_OF_A_TEMPLATE: Final = 16


class Endpoint:
    """The endpoint of one dialect, streamed or not. `docs/journey.md` lists its steps.

    Args:
        dialect: The dialect.
        shared: The parts that all endpoints share.
        authenticate: Called for each request, before its body is read.
    """

    def __init__(
        self, dialect: Dialect[Any], shared: Shared, authenticate: Authenticate = authenticated
    ) -> None:
        self._dialect = dialect
        self._shared = shared
        self._intake = Intake(dialect, shared, authenticate)
        strict = shared.settings.api.strict_models
        self._completions = Completions(shared.engine, dialect.check_model if strict else None)
        engine = shared.engine
        self._is_old = dialect.path == CompletionsDialect.path
        self._count_input = engine.count_input if isinstance(engine, CountsInput) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shared, dialect = self._shared, self._dialect
        record: RequestRecord = scope["record"]
        identity = await self._intake.identity(scope)
        caller, account = identity.caller, identity.account
        head = dialect.head(head_of(scope))
        attempt = shared.idempotency.attempt(scope, caller, account, dialect.errors)
        meter = Meter()
        with Reservation(shared.budget) as held:
            try:
                digest = None if attempt is None else attempt.digest
                body = await self._intake.body(scope, receive, held, identity, digest)
                exchange = dialect.check(body, head)
                record.requested_model, record.stream = exchange.model, exchange.stream
                check_access(account, exchange.model)

                def answer(send: Send) -> Coroutine[Any, Any, None]:
                    return self._answer(record, send, exchange, caller, account, meter)

                work = (
                    answer(send) if attempt is None else attempt.run(answer, scope, receive, send)
                )
                await while_connected(work, scope, receive)
            except (ClientDisconnect, ClientGone):
                record.outcome = record.outcome or meter.outcome or Delivery.DISCONNECTED
            finally:
                record.usage = meter.usage()
                if meter.first_token_at is not None:
                    record.first_token_seconds = meter.first_token_at - record.clock
                    record.token_gaps = meter.gaps()
                record.outcome = record.outcome or meter.outcome

    async def _answer(
        self,
        record: RequestRecord,
        send: Send,
        exchange: Exchange,
        caller: Caller,
        account: Account,
        meter: Meter,
    ) -> None:
        shared = self._shared
        sampling = exchange.sampling()
        self._completions.check(exchange.model, sampling)
        requests = await shared.slices.run(exchange.requests(sampling, caller), exchange.size)
        if self._is_old:
            record.shape = shape_of(requests[0])
        if (trace := record.trace) is not None or record.spoiling is not None:
            requests = [
                replace(each, job=replace(each.job, trace=trace, spoiling=record.spoiling))
                for each in requests
            ]
        settlement = await self._reserve(account, requests, record, meter)
        try:
            await self._complete(record, send, exchange, requests, meter, settlement)
        except Exception as error:
            settlement.end(error.kind if isinstance(error, Refusal) else Kind.FAILED)
            raise
        finally:
            settlement.end(Delivery.DISCONNECTED)

    async def _reserve(
        self, account: Account, requests: Sequence[Request], record: RequestRecord, meter: Meter
    ) -> Settlement:
        """Reserve the most that the completions can use together."""
        context = self._shared.engine.capabilities.context
        input_tokens = output_tokens = counted = 0
        prompt: Prompt | None = None
        for request in requests:
            job = request.job
            if job.prompt is not prompt:
                # Several completions of one prompt follow each other.
                prompt = job.prompt
                if self._count_input is not None:
                    counted = await self._count_input(prompt)
                else:
                    counted = prompt.size // _BYTES_OF_A_TOKEN + _TOKENS_OF_A_TEMPLATE
            input_tokens += counted
            output_tokens += min(job.max_tokens, context) if context else job.max_tokens
        charge = await self._shared.accounts.admit(
            *(account, requests[0].job.model, record.headers),
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )
        return Settlement(charge, record, meter)

    async def _complete(
        self,
        record: RequestRecord,
        send: Send,
        exchange: Exchange,
        requests: Sequence[Request],
        meter: Meter,
        settlement: Settlement,
    ) -> None:
        shared = self._shared
        async with AsyncExitStack() as leases:
            # A refusal before the jobs are accepted becomes a status.
            with shared.shutdown.interruptible():
                for admission in shared.admissions:
                    for request in requests:
                        lease = admission.lease(request.job.caller, request)
                        await leases.enter_async_context(lease)
                running = await self._completions.run(requests, meter)
            if (copies := shared.shadow.copies) is not None:
                copies.beside(record.id, requests, running.accepted, meter)
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
                        usage=meter.usage(),
                        on_end=settlement.end,
                        ping_interval_s=shared.settings.server.ping_interval_s,
                        shutdown=shared.shutdown,
                    )
                    return
                with shared.shutdown.interruptible():
                    completed = await collect(running.events, len(requests))
                settlement.end(completed[-1].ended.end)
                added, body = exchange.whole(model, completed)
                headers |= added
                if isinstance(body, bytes):
                    await send_json(body, headers, send)
                else:
                    await send_parts(body, headers, send)

    def _headers(self, requested: str, model: str, accepted: Accepted) -> dict[str, str]:
        """Return headers for the load, for deviations from the request, and the upstream."""
        retired = self._shared.notices.notice(requested, model)
        warnings = [*([retired] if retired else []), *accepted.warnings]
        engine = self._shared.engine
        # Engines without a KV cache need more time for the report than it is worth.
        headers = {HEADER: str(load_report(engine))} if engine.capabilities.kv_blocks else {}
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
