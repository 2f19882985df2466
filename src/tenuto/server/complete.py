"""POST /v1/complete."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from tenuto.core.caller import Caller
from tenuto.core.job import Accepted
from tenuto.core.long_text import LongText
from tenuto.core.prompt import Prompt
from tenuto.core.refusal import Refusal
from tenuto.engine.base import Engine
from tenuto.operations.admission import Admission, admit
from tenuto.operations.records import Delivery, RequestRecord
from tenuto.prompt.long_prompt import LongPrompt, parse_long_prompt
from tenuto.prompt.turns import parse_prompt, raw_prompt
from tenuto.server.auth import Keys
from tenuto.server.body import BodyReader, check_announced_size, most_body_bytes
from tenuto.server.body_budget import BodyBudget
from tenuto.server.client_gone import ClientGone, while_connected
from tenuto.server.event_stream import send_events
from tenuto.server.request_headers import combined
from tenuto.server.responses import send_json, send_parts
from tenuto.server.retirement import RetirementNotices
from tenuto.server.shutdown import Shutdown
from tenuto.service import Completions
from tenuto.settings import Settings
from tenuto.slices import Slices
from tenuto.stream.collect import collect
from tenuto.stream.meter import Meter
from tenuto.wire.completions.extensions import ExtendedRequest, usage_headers
from tenuto.wire.completions.field_limits import FieldLimits
from tenuto.wire.completions.job import request_of, sampling_of
from tenuto.wire.completions.request import CompletionRequest, check_fields
from tenuto.wire.completions.response import Completion
from tenuto.wire.completions.sse import encoder_of
from tenuto.wire.completions.versions import Version, parse_version
from tenuto.wire.ids import completion_id


class CompleteEndpoint:
    """The endpoint of completions, streamed or not. `docs/journey.md` lists its steps."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        keys: Keys,
        shutdown: Shutdown,
        admissions: Sequence[Admission] = (),
    ) -> None:
        self._admissions = admissions
        self._engine = engine
        self._settings = settings
        self._keys = keys
        self._shutdown = shutdown
        self._completions = Completions(engine, strict_models=settings.api.strict_models)
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
        """Handle a request, as an ASGI application."""
        longest = self._engine.capabilities.longest_prompt
        most = most_body_bytes(self._settings.limits, longest)
        check_announced_size(scope, most)
        caller = self._keys.caller(scope)
        record: RequestRecord = scope["record"]
        record.caller = caller.id
        version = parse_version(combined(scope, b"anthropic-version"))
        meter = Meter()
        with self._budget.reservation() as held:
            try:
                with self._shutdown.interruptible():
                    body = await self._bodies.read(receive, most, held)
                fields = check_fields(body, version, self._field_limits, self._kind)
                record.requested_model, record.stream = fields.model, fields.stream
                answer = self._answer(record, send, fields, caller, version, meter)
                await while_connected(answer, scope, receive)
            except (ClientDisconnect, ClientGone):
                record.outcome = record.outcome or meter.outcome or Delivery.DISCONNECTED
            finally:
                record.usage = meter.usage()
                record.outcome = record.outcome or meter.outcome

    async def _prompt(self, text: str | LongText) -> Prompt:
        most = self._settings.limits.max_turns
        try:
            if isinstance(text, LongText):
                return await self._slices.run(parse_long_prompt(text, most))
            return await self._slices.call(lambda: parse_prompt(text, most), len(text))
        except Refusal:
            if not self._settings.api.lenient_prompts:
                raise
            return LongPrompt(text) if isinstance(text, LongText) else raw_prompt(text)

    async def _answer(
        self,
        record: RequestRecord,
        send: Send,
        fields: CompletionRequest,
        caller: Caller,
        version: Version,
        meter: Meter,
    ) -> None:
        sampling = sampling_of(fields)
        self._completions.check(fields.model, sampling)
        request = request_of(fields, await self._prompt(fields.prompt), sampling, caller)
        async with AsyncExitStack() as leases:
            # A refusal before the job is accepted becomes a status.
            with self._shutdown.interruptible():
                await admit(self._admissions, caller, request, leases)
                running = await self._completions.run(request, meter)
            async with aclosing(running):
                accepted = running.accepted
                record.upstream = accepted.upstream
                model = accepted.model or self._engine.capabilities.model or fields.model
                record.served_model = model
                headers = self._headers(fields.model, model, accepted)
                name, top = completion_id(), bool(sampling.logprobs)
                if not fields.stream:
                    with self._shutdown.interruptible():
                        completed = await collect(running.events)
                    usage = completed.ended.usage
                    headers |= usage_headers(usage) if usage is not None else {}
                    completion = Completion(name, model, completed, top)
                    if isinstance(completed.text, LongText):
                        await send_parts(completion.parts(version), headers, send)
                    else:
                        await send_json(completion.body(version), headers, send)
                    return
                await send_events(
                    running.events,
                    encoder_of(version, name, model, top=top),
                    send,
                    headers=headers,
                    record=record,
                    ping_interval_s=self._settings.server.ping_interval_s,
                    shutdown=self._shutdown,
                )

    def _headers(self, requested: str, model: str, accepted: Accepted) -> dict[str, str]:
        """Return headers for deviations from the request, and the upstream."""
        retired = self._notices.notice(requested, model)
        warnings = [*([retired] if retired else []), *accepted.warnings]
        headers = {}
        if warnings:
            headers["warning"] = ", ".join(f'299 - "{_quotable(text)}"' for text in warnings)
        if accepted.upstream is not None:
            headers["tenuto-upstream"] = _quotable(accepted.upstream)
        return headers


def _quotable(text: str) -> str:
    """Return a text in printable ASCII, escaped for a quoted string in a header."""
    if text.isalnum() and text.isascii():
        return text
    kept = "".join(char if " " <= char <= "~" else "?" for char in text)
    return kept.replace("\\", "\\\\").replace('"', '\\"')
