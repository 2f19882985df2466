"""Request an answer of an engine for a comparison, within bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Final, TypeAlias

from tenuto.compare.answer import MOST_CHARS, TIMEOUT, TOO_LONG, Answer
from tenuto.core.events import Ended, Text
from tenuto.core.job import ANONYMOUS, Accepted, Job, Usage
from tenuto.core.refusal import Kind, Refusal
from tenuto.engine.base import Engine
from tenuto.stream.meter import Meter
from tenuto.stream.pipe import run

_log: Final = logging.getLogger("tenuto.shadow")

CostOf: TypeAlias = Callable[[str, Usage], float | None]
"""Return the price of the tokens of a model; None if it has none."""

_UNKNOWN: Final = Accepted()


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


class _Timeout:
    """A limit of the time of a task, at a fifth of the cost of `asyncio.timeout`."""

    __slots__ = ("_task", "_timer", "expired")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[object] = task
        self._timer = task.get_loop().call_later(seconds, self._expire)
        self.expired = False

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def cancelled(self) -> bool:
        """Return whether a cancellation of the task is this timeout alone."""
        return self.expired and not self._task.uncancel()

    def close(self) -> None:
        """End the limit."""
        self._timer.cancel()


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
    meter, accepted, ended, error = Meter(), _UNKNOWN, None, ""
    texts, size = list[str](), 0
    timeout = _Timeout(timeout_s)
    try:
        events = run(job, engine, stops, meter)
        try:
            async for event in events:
                if isinstance(event, Text):
                    texts.append(event.text)
                    size += len(event.text)
                    if size > MOST_CHARS:
                        error = TOO_LONG
                        break
                elif isinstance(event, Ended):
                    ended = event
                elif isinstance(event, Accepted):
                    accepted = event
        finally:
            await events.aclose()
    except asyncio.CancelledError:
        if not timeout.cancelled():
            raise
        error = TIMEOUT
    except Refusal as refusal:
        error = refusal.kind.value
    except Exception as failure:
        _log.debug("a copy failed", exc_info=failure)
        error = Kind.FAILED.value
    finally:
        timeout.close()
    text = "".join(texts)
    return measured(text[:MOST_CHARS], ended, error, meter, accepted, job.model, cost_of)


def measured(
    text: str,
    ended: Ended | None,
    error: str,
    meter: Meter,
    accepted: Accepted,
    model: str,
    cost_of: CostOf | None,
) -> Answer:
    """Return an answer that ends now, with its times, tokens and price.

    Args:
        text: Its text.
        ended: How it ended; None if it broke off.
        error: Why it broke off; "" without an error.
        meter: Measured it.
        accepted: How it began.
        model: The requested model, for an upstream that names none.
        cost_of: The prices; None without any.
    """
    now, usage, began = perf_counter(), meter.usage(), meter.began
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
        text,
        end,
        stop,
        error,
        usage.time_to_first_token_ms,
        0.0 if began is None else 1000 * (now - began),
        usage.input_tokens,
        usage.cached_tokens,
        usage.output_tokens,
        cost,
        accepted.warnings,
    )
