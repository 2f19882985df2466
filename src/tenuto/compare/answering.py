"""Request an answer of an engine for a comparison, within bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Final, TypeAlias

from tenuto.compare.answer import TIMEOUT, TOO_LONG, Answer
from tenuto.compare.reply import Reply
from tenuto.core.job import ANONYMOUS, Accepted, Job, Usage
from tenuto.core.refusal import Kind, Refusal
from tenuto.engine.base import Engine
from tenuto.stream.meter import Meter
from tenuto.stream.pipe import run

_log: Final = logging.getLogger("tenuto.shadow")

CostOf: TypeAlias = Callable[[str, Usage], float | None]
"""Return the price of the tokens of a model; None if it has none."""


def copy_of(job: Job) -> Job:
    """Return a job as it is sent a second time: without caller, trace and log probabilities."""
    sampling = job.sampling
    if sampling.logprobs is not None or sampling.prompt_logprobs is not None:
        sampling = replace(sampling, logprobs=None, prompt_logprobs=None)
    # Not by `replace`, which costs ten times as much.
    return Job(
        *(job.prompt, job.max_tokens, sampling, job.model, job.stop_sequences, job.stream),
        *(job.user_id, ANONYMOUS, job.ends_at_human, job.trims, job.tells_ids, job.begun),
    )


async def ask(engine: Engine, job: Job, stops: Sequence[str], reply: Reply) -> None:
    """Let an engine answer a job. Errors end the reply.

    A cancellation is raised, unless the reply has got an error before, as the reason for it.

    Args:
        engine: The engine.
        job: The job.
        stops: All stop sequences.
        reply: Takes the answer. It is finished at the end, also if the answer is cancelled.
    """
    meter = reply.meter
    meter.transcript = reply
    try:
        events = run(job, engine, stops, meter)
        first = await anext(events)
        if isinstance(first, Accepted):
            reply.accepted = first
        async for _ in events:
            if reply.too_long:
                reply.error = TOO_LONG
                await events.aclose()
                break
    except Refusal as refusal:
        reply.error = refusal.kind.value
    except asyncio.CancelledError:
        if not reply.error:
            raise
    except Exception as failure:
        _log.debug("a copy failed", exc_info=failure)
        reply.error = Kind.FAILED.value
    finally:
        reply.ended_at = perf_counter()
        # Each refers to the other.
        meter.transcript = None
        reply.finished()


async def answer_of(
    engine: Engine, job: Job, stops: Sequence[str], timeout_s: float, cost_of: CostOf | None
) -> Answer:
    """Return an engine's answer to a job, or its error as an answer.

    Args:
        engine: The engine.
        job: The job.
        stops: All stop sequences.
        timeout_s: Longest duration; then the job is cancelled.
        cost_of: The prices; None without any.
    """
    reply = Reply(Meter())
    try:
        async with asyncio.timeout(timeout_s):
            await ask(engine, job, stops, reply)
    except TimeoutError:
        reply.error = TIMEOUT
    return measured(reply, job.model, cost_of)


def measured(reply: Reply, model: str, cost_of: CostOf | None) -> Answer:
    """Return an answer that has ended, with its times, tokens and price.

    Args:
        reply: The answer as it came.
        model: The requested model, for an upstream that names none.
        cost_of: The prices; None without any.
    """
    meter, accepted, ended, error = reply.meter, reply.accepted, reply.ended, reply.error
    usage, began = meter.usage(), meter.began
    end, stop = "", None
    if ended is not None and not error:
        # The plain text: a member of an enumeration has a hash in Python.
        end, stop = f"{ended.end}", ended.stop
    model, cost = accepted.model or model, None
    if cost_of is not None:
        cost = cost_of(model, usage)
    return Answer(
        accepted.upstream or "",
        model,
        reply.text,
        end,
        stop,
        error,
        usage.time_to_first_token_ms,
        0.0 if began is None else 1000 * (reply.ended_at - began),
        usage.input_tokens,
        usage.cached_tokens,
        usage.output_tokens,
        cost,
        accepted.warnings,
    )
