"""From a job to events: where the text ends, why, and what becomes of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.engine import base
from tenuto.engine.base import (
    EngineError,
    EngineFailed,
    EngineOverloaded,
    FieldRefused,
    Finish,
    Job,
    ModelError,
    Piece,
    PromptRefused,
    PromptTooLong,
    Status,
)
from tenuto.prompt.turns import HUMAN, parse_prompt
from tenuto.stream.pipe import collect, job_of, run
from tenuto.wire.errors import ApiError, InternalError, InvalidRequest, Overloaded
from tenuto.wire.events import Accepted, CompletionEvent, ErrorEvent, Event, Ping
from tenuto.wire.request import CompletionRequest, Metadata
from tenuto.wire.response import Completion

pytestmark = pytest.mark.anyio

JOB = Job(parse_prompt("\n\nHuman: Name one prime.\n\nAssistant:"), max_tokens=64)


class Script:
    """An engine that writes what it was told to, and remembers how far it came.

    Args:
        steps: What to write, a token each; an exception is raised in its place.
        finish: Why it ends after the last step. None: it ends without a word.
        accepted: What it tells with its first piece.
    """

    def __init__(
        self,
        *steps: str | Exception,
        finish: Finish | None = Finish.END,
        accepted: base.Accepted | None = None,
    ) -> None:
        self._steps = steps
        self._accepted = accepted
        self._finish = finish
        self.written = 0
        self.closed = False

    async def start(self) -> None:
        """Nothing to load."""

    async def ready(self) -> str:
        return "script"

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        try:
            if not (self._steps and isinstance(self._steps[0], Exception)):
                yield Piece("", accepted=self._accepted)
            for step in self._steps:
                if isinstance(step, Exception):
                    raise step
                self.written += 1
                yield Piece(step, tokens=1)
            if self._finish is not None:
                yield Piece("", finish=self._finish)
        finally:
            self.closed = True

    async def ping(self) -> Status:
        return Status(True, "script", "Ready.")

    async def aclose(self) -> None:
        """Nothing to end."""


async def events_of(engine: Script, *stops: str) -> list[Event]:
    return [event async for event in run(JOB, engine, stops)]


async def completion_of(engine: Script, *stops: str) -> Completion:
    return await collect(run(JOB, engine, stops), "compl_01", "script")


def text_of(events: Iterable[Event]) -> str:
    return "".join(event.completion for event in events if isinstance(event, CompletionEvent))


async def replay(events: Iterable[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event


async def test_a_model_that_ends_its_turn_is_said_to_have_met_the_next_one() -> None:
    assert await events_of(Script(" One", ", two")) == [
        Ping(),
        CompletionEvent(" One"),
        CompletionEvent(", two"),
        CompletionEvent("", "stop_sequence", HUMAN),
    ]


async def test_running_out_of_tokens_is_not_a_stop_sequence() -> None:
    events = await events_of(Script(" One", finish=Finish.LENGTH))

    assert events[-1] == CompletionEvent("", "max_tokens", None)


async def test_a_stop_sequence_ends_the_text_before_it() -> None:
    completion = await completion_of(Script(" <answer>7</ans", "wer> done"), "</answer>")

    assert completion == Completion(
        "compl_01", " <answer>7", "stop_sequence", "</answer>", "script"
    )


@pytest.mark.parametrize("stops", [(), ("</answer>",), (HUMAN,)])
async def test_the_next_human_turn_ends_the_text_whatever_was_asked_for(
    stops: tuple[str, ...],
) -> None:
    completion = await completion_of(Script(" Seven.\n", "\nHum", "an: And"), *stops)

    assert (completion.completion, completion.stop) == (" Seven.", HUMAN)


async def test_a_stop_sequence_in_the_very_last_token_beats_the_length() -> None:
    events = await events_of(Script(" One", " END", finish=Finish.LENGTH), " END")

    assert events[-1] == CompletionEvent("", "stop_sequence", " END")


async def test_held_back_text_comes_out_when_the_tokens_run_out() -> None:
    completion = await completion_of(Script(" One\n\nHuma", finish=Finish.LENGTH))

    assert completion.completion == " One\n\nHuma"
    assert completion.stop is None


async def test_a_shorter_stop_that_waited_for_a_longer_one_counts_at_the_end() -> None:
    completion = await completion_of(Script(" xabc", finish=Finish.LENGTH), "abcd", "bc")

    assert (completion.completion, completion.stop) == (" xa", "bc")


async def test_no_text_at_all_is_an_answer() -> None:
    assert await events_of(Script()) == [Ping(), CompletionEvent("", "stop_sequence", HUMAN)]


async def test_a_stop_sequence_at_the_very_start_leaves_no_text() -> None:
    completion = await completion_of(Script(HUMAN))

    assert (completion.completion, completion.stop) == ("", HUMAN)


async def test_a_match_ends_the_engines_work_at_once() -> None:
    engine = Script(" One", " END", " never", " read")

    await events_of(engine, " END")

    assert engine.closed
    assert engine.written == 2


@pytest.mark.parametrize("steps", [(" END",), (" text before END",), (" text", " before END")])
async def test_a_reader_that_stops_at_a_match_holds_no_place_in_the_engine(
    steps: tuple[str, ...],
) -> None:
    engine = Script(*steps, " never", " read")

    async with aclosing(run(JOB, engine, [" END"])) as events:
        async for _ in events:
            if engine.written == len(steps):
                break  # the event of the piece that matched: nothing is read after it

        assert engine.closed


async def test_a_piece_of_any_length_leaves_the_loop_free() -> None:
    stops = ["a" * 4096 + "b"]
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    completion = await completion_of(Script("a" * 100_000), *stops)
    ticking.cancel()

    assert completion.completion == "a" * 100_000
    assert ticks > 20


async def test_a_reader_that_goes_away_ends_the_engines_work() -> None:
    engine = Script(" One", " two", " three")

    async with aclosing(run(JOB, engine)) as events:
        async for event in events:
            if event == CompletionEvent(" One"):
                break

    assert engine.closed
    assert engine.written == 1


async def test_the_engine_is_closed_after_its_last_piece() -> None:
    engine = Script(" One")

    await events_of(engine)

    assert engine.closed


async def test_a_token_of_held_back_text_is_no_event() -> None:
    events = await events_of(Script(" One", "\n\nHum", "ming"))

    assert events[:-1] == [Ping(), CompletionEvent(" One"), CompletionEvent("\n\nHumming")]


@pytest.mark.parametrize("before", [(), (" One",)])
@pytest.mark.parametrize(
    ("error", "becomes", "message"),
    [
        (
            PromptTooLong(3000, 2047),
            InvalidRequest,
            "prompt is too long: 3000 tokens > 2047 maximum",
        ),
        (FieldRefused("logprobs", "Not here."), InvalidRequest, "logprobs: Not here."),
        (PromptRefused("roles must alternate"), InvalidRequest, "roles must alternate"),
        (EngineOverloaded("Overloaded"), Overloaded, "Overloaded"),
        (EngineFailed("The engine broke."), InternalError, "The engine broke."),
        (
            ModelError("/home/someone/models/secret.gguf: truncated"),
            InternalError,
            "The model could not be loaded; the server's log says why.",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, EngineError) else None,
)
async def test_an_error_of_the_engine_becomes_one_of_the_api(
    before: tuple[str, ...], error: EngineError, becomes: type[ApiError], message: str
) -> None:
    engine = Script(*before, error)

    with pytest.raises(ApiError) as raised:
        await events_of(engine)

    assert type(raised.value) is becomes
    assert raised.value.message == message
    assert engine.closed


async def test_a_prompt_that_is_too_long_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidRequest) as raised:
        await events_of(Script(PromptTooLong(3000, 2047)))

    assert raised.value.status == 400


async def test_an_overloaded_engine_says_when_to_come_back() -> None:
    with pytest.raises(Overloaded) as raised:
        await events_of(Script(EngineOverloaded("Overloaded")))

    assert raised.value.status == 529
    assert raised.value.retry_after is not None
    assert raised.value.retry_after > 0


async def test_text_before_an_error_has_been_sent() -> None:
    async with aclosing(run(JOB, Script(" One", EngineFailed("The engine broke.")))) as events:
        assert [await anext(events), await anext(events)] == [Ping(), CompletionEvent(" One")]
        with pytest.raises(InternalError):
            await anext(events)


async def test_a_refusal_comes_before_any_event() -> None:
    async with aclosing(run(JOB, Script(PromptTooLong(3000, 2047)))) as events:
        with pytest.raises(InvalidRequest):
            await anext(events)


async def test_a_bug_in_an_engine_is_not_dressed_up_as_an_error_of_the_api() -> None:
    with pytest.raises(ZeroDivisionError):
        await events_of(Script(" One", ZeroDivisionError()))


async def test_an_engine_that_ends_without_a_reason_is_an_error() -> None:
    with pytest.raises(InternalError, match="without saying why"):
        await events_of(Script(" One", finish=None))


async def test_a_stream_that_ends_without_a_reason_is_no_completion() -> None:
    with pytest.raises(InternalError, match="without a reason"):
        await collect(replay([Ping(), CompletionEvent(" One")]), "compl_01", "script")


async def test_a_stream_that_ends_in_an_error_is_no_completion() -> None:
    failed = ErrorEvent(Overloaded("Overloaded"))

    with pytest.raises(Overloaded):
        await collect(replay([Ping(), CompletionEvent(" One"), failed]), "compl_01", "script")


def cut(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    found = [(text.find(stop), -len(stop), stop) for stop in stops if stop in text]
    if not found:
        return text, None
    at, _, stop = min(found)
    return text[:at], stop


pieces_of_text = st.lists(
    st.sampled_from(["", " a", "b", "ab", "\n", "\n\n", "Human", ":", "\n\nHuman:", "é"]),
    max_size=10,
)


@given(
    pieces_of_text,
    st.lists(st.sampled_from(["ab", "ba", "b", "abb", "\n\n", "é", "Human"]), max_size=3),
    st.sampled_from(Finish),
)
def test_a_whole_answer_is_a_stream_put_together_and_ends_where_it_should(
    texts: list[str], stops: list[str], finish: Finish
) -> None:
    async def both() -> tuple[list[Event], Completion]:
        streaming = Script(*texts, finish=finish)
        whole = Script(*texts, finish=finish)
        return await events_of(streaming, *stops), await completion_of(whole, *stops)

    events, completion = asyncio.run(both())
    text, stop = cut("".join(texts), [*stops, HUMAN])
    by_length = stop is None and finish is Finish.LENGTH

    assert completion.completion == text_of(events) == text
    assert completion.stop == (None if by_length else stop or HUMAN)
    assert completion.stop_reason == ("max_tokens" if by_length else "stop_sequence")
    first, *middle, last = events
    assert first == Ping()
    assert last == CompletionEvent("", completion.stop_reason, completion.stop)
    for event in middle:
        assert isinstance(event, CompletionEvent)
        assert event.completion
        assert event.stop_reason is None


def test_a_job_carries_what_the_request_asks_for() -> None:
    request = CompletionRequest(
        model="claude-2.1",
        prompt=JOB.prompt.text,
        max_tokens_to_sample=7,
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        metadata=Metadata(user_id="u-1"),
        stream=True,
    )

    job = job_of(request, JOB.prompt, seed=3, key="sk-1")

    assert job == Job(JOB.prompt, 7, 0.5, 0.9, 5, 3, "claude-2.1", ("END",), True, "u-1", "sk-1")
    assert "sk-1" not in repr(job)


def test_a_job_without_settings_samples_from_everything() -> None:
    request = CompletionRequest(
        model="claude-2.1", prompt=JOB.prompt.text, max_tokens_to_sample=7, top_k=0
    )

    job = job_of(request, JOB.prompt)

    assert (job.temperature, job.top_p, job.top_k, job.seed) == (1.0, None, None, None)
    assert (job.stop_sequences, job.stream, job.user_id, job.key) == ((), False, None, None)


def test_what_is_known_when_a_job_is_accepted_comes_first() -> None:
    told = base.Accepted("claude-haiku-4-5", "claude", ("top_k was left out",))

    first, *_ = asyncio.run(events_of(Script(" One", accepted=told)))

    assert first == Accepted("claude-haiku-4-5", "claude", ("top_k was left out",))
