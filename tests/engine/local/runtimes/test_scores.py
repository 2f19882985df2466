"""Log probabilities of prompts: those of a reference in numpy, whatever is cached or running."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from tenuto.core.job import Sampling
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import Runtime, RuntimeOptions, ScoredToken
from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime
from tests.engine.local.runtimes.contract import GREEDY, load, made, run
from tests.reference_model import ReferenceModel
from training.corpus.documents import documents

PROMPTS = 200
CONTEXT = 500
CONTINUATIONS = 50

TEXTS = tuple(str(document) for document in documents(120, 7))


def text(draw: random.Random) -> str:
    """Return a text in the language of the model: 8-bit arithmetic errs more about others."""
    return draw.choice(TEXTS)


Make: TypeAlias = Callable[..., Runtime]


def llamacpp(options: RuntimeOptions) -> Runtime:
    return made(CountedLlamaCpp, options)


def openvino(options: RuntimeOptions) -> Runtime:
    pytest.importorskip("openvino_genai")
    from tenuto.engine.local.runtimes.openvino.runtime import OpenVinoRuntime

    return made(OpenVinoRuntime, options)


@pytest.fixture(scope="module", params=[llamacpp, openvino], ids=["llamacpp", "openvino"])
def make(request: pytest.FixtureRequest) -> Make:
    kind: Make = request.param
    return kind


@pytest.fixture(scope="module")
def runtime(make: Make) -> Runtime:
    return make(load())


class CachedReference(ReferenceModel):
    """A reference that keeps its scores: both runtimes have the same prompts."""

    def __init__(self) -> None:
        super().__init__(built_in_model())
        self._known: dict[tuple[int, ...], list[float]] = {}

    def scores(self, ids: Sequence[int]) -> list[float]:
        if tuple(ids) not in self._known:
            self._known[tuple(ids)] = super().scores(ids)
        return self._known[tuple(ids)]


@pytest.fixture(scope="module")
def reference() -> ReferenceModel:
    return CachedReference()


def begin(runtime: Runtime, key: int, ids: Sequence[int], most: int = 1, **changes: Any) -> None:
    sampling = replace(GREEDY, logprobs=1, prompt_logprobs=1, **changes)
    runtime.begin(key, ids, most, sampling)


def scored(runtime: Runtime, ids: Sequence[int], most: int = 1) -> list[ScoredToken]:
    """Return the tokens of a prompt and of its completion."""
    begin(runtime, 0, ids, most)
    return tokens_of(runtime, {0})[0]


def tokens_of(runtime: Runtime, keys: set[int]) -> dict[int, list[ScoredToken]]:
    wrote = run(runtime, keys)
    assert all(deltas[-1].ending != "broke" for deltas in wrote.values())
    return {
        key: [token for delta in deltas for token in (*delta.prompt, *delta.scored)]
        for key, deltas in wrote.items()
    }


def logprobs_of(tokens: Sequence[ScoredToken]) -> list[float]:
    """Return the log probabilities of all tokens but the first, which has none."""
    assert tokens[0].logprob is None
    found = [token.logprob for token in tokens[1:]]
    assert None not in found
    return [each for each in found if each is not None]


def check(reference: ReferenceModel, ids: list[int], found: list[float]) -> list[float]:
    expected = reference.scores(ids)
    assert len(expected) == len(found)
    errors = [abs(one - other) for one, other in zip(expected, found, strict=True)]
    for error, exact in zip(errors, expected, strict=True):
        assert error <= 0.3 * max(1, -exact / 4)
    return errors


def test_scores_are_those_of_the_reference(runtime: Runtime, reference: ReferenceModel) -> None:
    exact = not isinstance(runtime, LlamaCppRuntime)
    draw = random.Random(1)
    errors: list[float] = []
    for _ in range(PROMPTS):
        # Many begin like an earlier one, and some lack BOS, which only ids can do.
        ids = runtime.encode(text(draw))[draw.choice([0, 0, 1]) : draw.randrange(2, 60)]
        tokens = scored(runtime, ids, draw.choice([0, 1, 1, 4]))
        errors += check(reference, ids, logprobs_of(tokens[: len(ids)]))
    assert sum(errors) / len(errors) <= (0.001 if exact else 0.02)
    if exact:
        # Without quantised activations, also about what no text has.
        ids = [draw.randrange(300, 4000) for _ in range(200)]
        errors = check(reference, ids, logprobs_of(scored(runtime, ids)[: len(ids)]))
        assert sum(errors) / len(errors) <= 0.005


@pytest.mark.parametrize("length", [1, 2, 3, 4, 31, 32, 33, 64])
def test_a_prompt_that_continues_another_is_scored_in_its_place(
    runtime: Runtime, reference: ReferenceModel, length: int
) -> None:
    draw = random.Random(length)
    context = [draw.randrange(300, 4000) for _ in range(length)]
    for _ in range(4):
        scored(runtime, context)
        ids = context + [draw.randrange(300, 4000) for _ in range(draw.randrange(1, 4))]
        check(reference, ids, logprobs_of(scored(runtime, ids)[: len(ids)]))
        again = [logprobs_of(scored(runtime, ids)[: len(ids)]) for _ in range(2)]
        assert again[0] == pytest.approx(again[1], abs=0.05)


def test_prompts_are_scored_beside_other_jobs(runtime: Runtime, reference: ReferenceModel) -> None:
    draw = random.Random(3)
    prompts = [runtime.encode(text(draw))[:60] for _ in range(3)]
    prompts += [prompts[0][:20] + prompt[20:] for prompt in prompts]
    for key in (100, 101, 102):
        runtime.begin(key, runtime.encode(text(draw))[:20], 12, replace(GREEDY, ignore_eos=True))
    runtime.step()
    for key, ids in enumerate(prompts):
        begin(runtime, key, ids, 6)
        sampling = Sampling(seed=key, ignore_eos=True)
        runtime.begin(200 + key, runtime.encode(text(draw))[:9], 5, sampling)
    keys = {*range(6), *range(100, 103), *range(200, 206)}
    tokens = tokens_of(runtime, keys)
    for key, ids in enumerate(prompts):
        check(reference, ids, logprobs_of(tokens[key][: len(ids)]))
        assert len(tokens[key]) <= len(ids) + 6


def test_cancelled_jobs_leave_the_scores_of_others_as_they_are(
    runtime: Runtime, reference: ReferenceModel
) -> None:
    draw = random.Random(4)
    context = [draw.randrange(300, 4000) for _ in range(1200)]
    lengths = (1200, 60, 120, 180)
    prompts = [[*context[:length], draw.randrange(300, 4000)] for length in lengths]
    for key, ids in enumerate(prompts):
        begin(runtime, key, ids)
    runtime.cancel(3)
    assert not any(delta.ending for delta in runtime.step() if delta.key == 0)
    runtime.cancel(0)
    run(runtime, {1, 2})
    for ids in prompts:
        check(reference, ids, logprobs_of(scored(runtime, ids)[:-1]))
    assert runtime.step() == []


def test_a_prompt_without_a_completion_may_fill_the_context(runtime: Runtime) -> None:
    draw = random.Random(5)
    ids = [draw.randrange(300, 4000) for _ in range(runtime.context)]
    assert len(scored(runtime, ids, 0)) == runtime.context


def test_control_tokens_are_scored_as_any_other(
    runtime: Runtime, reference: ReferenceModel
) -> None:
    ids = [5, 0, 7, 0, 0, 9]
    tokens = scored(runtime, ids)
    check(reference, ids, logprobs_of(tokens[:6]))
    assert tokens[1].data == b"<|tenuto:end|>"
    assert all(token.in_text for token in tokens[:6])


class CountedLlamaCpp(LlamaCppRuntime):
    """A runtime that counts the tokens that it computes."""

    computed = steps = 0

    def _compute(self, parts: Any) -> Any:
        work = super()._compute(parts)
        self.steps += bool(work)
        self.computed += self._context._size - self._context.room if work else 0
        return work


class CountedModel:
    """A model for scores that counts the tokens that it computes."""

    def __init__(self, model: Any) -> None:
        self._model, self.computed, self.steps = model, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def compute(self, parts: Any) -> Any:
        self.computed += sum(len(part.ids) for part in parts)
        self.steps += 1
        return self._model.compute(parts)


def counter(runtime: Any) -> Any:
    """Return an object whose `computed` is the number of tokens that were computed."""
    if isinstance(runtime, CountedLlamaCpp):
        return runtime
    scored(runtime, [300, 301])  # loads the model
    scorer = runtime._scoring._scorer
    scorer._model = CountedModel(scorer._model)
    return scorer._model


@pytest.mark.parametrize("together", [False, True], ids=["in turn", "together"])
def test_many_continuations_of_one_context_compute_it_once(make: Make, together: bool) -> None:
    runtime = make(load(max_running=CONTINUATIONS))
    count = counter(runtime)
    draw = random.Random(6)
    context = [draw.randrange(300, 4000) for _ in range(CONTEXT)]
    if together:
        for key in range(CONTINUATIONS):
            begin(runtime, key, [*context, 1000 + key])
        tokens_of(runtime, set(range(CONTINUATIONS)))
    else:
        for key in range(CONTINUATIONS):
            scored(runtime, [*context, 1000 + key])
    assert CONTEXT < count.computed <= 1.5 * CONTEXT


def test_a_context_takes_no_more_steps_while_its_continuations_wait(make: Make) -> None:
    # 501 tokens take steps that leave a few for the last one.
    runtime = make(replace(load(max_running=CONTINUATIONS), batch_tokens=55))
    count = counter(runtime)
    draw = random.Random(8)
    steps = []
    for prompts in (1, CONTINUATIONS):
        context = [draw.randrange(300, 4000) for _ in range(CONTEXT)]
        before = count.steps, count.computed
        for key in range(prompts):
            begin(runtime, key, [*context, 1000 + key])
        tokens_of(runtime, set(range(prompts)))
        steps.append(count.steps - before[0])
    # Each of the others has its last two tokens in these.
    assert steps[1] <= steps[0] + 3
    assert count.computed - before[1] <= 1.25 * CONTEXT


def test_continuations_beyond_the_places_compute_their_context_once(make: Make) -> None:
    runtime = make(load(max_running=4, kv_cache_mib=16))
    count = counter(runtime)
    draw = random.Random(8)
    context = [draw.randrange(300, 4000) for _ in range(CONTEXT)]
    for first in range(0, 12, 4):
        # As many as there are places, each time: all ended jobs leave theirs to new ones.
        for key in range(first, first + 4):
            begin(runtime, key, [*context, 1000 + key])
        tokens_of(runtime, set(range(first, first + 4)))
    assert CONTEXT < count.computed <= 1.2 * CONTEXT
