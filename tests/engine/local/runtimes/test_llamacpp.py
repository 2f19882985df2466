from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tenuto.core.job import Sampling
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import (
    CannotLoad,
    Delta,
    Runtime,
    RuntimeOptions,
    ScoredToken,
    TextRefused,
)
from tenuto.engine.local.runtimes.llamacpp import sequences
from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime
from tests.conftest import PATIENCE_S
from tests.engine.local.runtimes.contract import (
    ANY,
    GREEDY,
    TEXT,
    RuntimeContract,
    load,
    made,
    run,
    score,
    write,
)

pytest.importorskip("xllamacpp")


class TestLlamaCppContract(RuntimeContract):
    """With cells for a whole context of each completion."""

    @classmethod
    def make(cls, options: RuntimeOptions) -> Runtime:
        return made(LlamaCppRuntime, options)


class TestLlamaCppWithFewCellsContract(RuntimeContract):
    """With cells for about two contexts."""

    @classmethod
    def make(cls, options: RuntimeOptions) -> Runtime:
        return made(LlamaCppRuntime, replace(options, kv_cache_mib=pool_mib()))


class TestLlamaCppWithoutPrefixesContract(RuntimeContract):
    """Without a prefix cache."""

    @classmethod
    def make(cls, options: RuntimeOptions) -> Runtime:
        return made(LlamaCppRuntime, replace(options, prefix_cache="off"))


@cache
def pool_mib() -> int:
    """The least memory that holds two whole contexts of the built-in model."""
    mib = 1
    while True:
        runtime = made(LlamaCppRuntime, load(kv_cache_mib=mib, max_running=2))
        if runtime.kv_blocks * runtime.block_tokens >= 2 * 2048:
            return mib
        mib += 1


# In a process of its own, which an overflow of the stack would end.
TOKENISE = """
import sys
from pathlib import Path
from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime
from tests.engine.local.runtimes.contract import load, made
runtime = made(LlamaCppRuntime, load(Path(sys.argv[1]), 4, 1))
print(*(len(runtime.encode(text * 60_000)) for text in ("Z", "\\u4e2d", "!")))
"""


@pytest.mark.parametrize("pre", ["gpt-4o", "tekken"])
def test_a_long_text_without_a_break_does_not_overflow_the_stack(tmp_path: Path, pre: str) -> None:
    """Of these pre-tokenisers, llama.cpp runs the regular expressions by recursion."""
    whole, usual = built_in_model().read_bytes(), b"smollm"
    assert (whole.count(usual), len(pre)) == (1, len(usual))
    model = tmp_path / "model.gguf"
    model.write_bytes(whole.replace(usual, pre.encode()))
    command = [sys.executable, "-c", TOKENISE, str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    counts = [int(count) for count in done.stdout.split()]
    assert len(counts) == 3
    assert min(counts) > 1000


@pytest.mark.parametrize("letter", ["Z", " ", "\n", "\u4e2d", "-", "7", "e\u0301"])
def test_long_text_without_a_break_is_rejected_before_tokenising(letter: str) -> None:
    runtime = made(LlamaCppRuntime, load(kv_cache_mib=1, max_running=1))
    for encode in (runtime.encode, runtime.encode_plain):
        with pytest.raises(TextRefused, match=r"^prompt: more than 500,000 characters follow"):
            encode("Hello " + letter * 500_001)


def test_a_longer_text_with_breaks_is_tokenised() -> None:
    runtime = made(LlamaCppRuntime, load(kv_cache_mib=1, max_running=1))
    assert len(runtime.encode("Hello there\n" * 50_000)) > 50_000


def test_a_small_budget_leaves_a_small_context() -> None:
    message = r"kv_cache_mib is too small: 256 tokens take (\d+) bytes"
    with pytest.raises(CannotLoad, match=message) as refusal:
        made(LlamaCppRuntime, load(kv_cache_mib=0))
    found = re.search(message, str(refusal.value))
    assert found is not None
    cells = 1024 * 1024 * 256 // int(found[1])

    runtime = made(LlamaCppRuntime, load(kv_cache_mib=1))

    assert runtime.context <= runtime.kv_blocks * runtime.block_tokens <= cells


def test_sequences_are_limited_to_the_library_maximum() -> None:
    many = load(kv_cache_mib=16, max_running=1000)
    runtime = made(LlamaCppRuntime, many)
    assert runtime.kv_blocks <= 256
    assert write(runtime, runtime.encode(TEXT), 1)[1] == 1


def test_fewer_jobs_run_where_fewer_contexts_fit() -> None:
    """Eight whole contexts are enough, as shared cells slow all jobs down."""
    runtime = made(LlamaCppRuntime, load(kv_cache_mib=32, max_running=64))
    assert 8 <= runtime.kv_blocks < 64
    assert runtime.block_tokens == runtime.context == 2048
    few = made(LlamaCppRuntime, load(kv_cache_mib=8, max_running=64))
    assert few.kv_blocks > 64


def test_jobs_share_the_cells_of_few_ended_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each token skips all cells of others."""
    runtime = made(LlamaCppRuntime, load(kv_cache_mib=pool_mib()))
    prompts = [runtime.encode(f"{number} {TEXT * 5}") for number in range(3)]
    monkeypatch.setattr(sequences, "_MOST_SHARED_KEPT", 2 * len(prompts[0]) + 16)

    def cached(prompt: list[int]) -> int:
        runtime.begin(0, prompt, 1, GREEDY)
        return run(runtime, {0})[0][0].cached or 0

    for prompt in prompts:
        assert cached(prompt) < 16
    assert cached(prompts[1]) == len(prompts[1]) - 1
    assert cached(prompts[0]) < 16


def test_full_cache_is_reused(endless_model: Path) -> None:
    runtime = made(LlamaCppRuntime, load(endless_model, kv_cache_mib=1))
    prompt = runtime.encode(TEXT)
    for round_ in range(4):
        # Other texts each time: what is kept of earlier ones has to make room.
        begun = [prompt[0], *runtime.encode(f"round {round_}")[1:], *prompt[1:]]
        share = runtime.kv_blocks // 4 * runtime.block_tokens
        most = min(share, runtime.context) - len(begun)
        for key in range(4):
            runtime.begin(key, begun, most, ANY)
        for deltas in run(runtime, set(range(4))).values():
            assert sum(delta.tokens for delta in deltas) == most
            assert deltas[-1].ending == "length"


def test_unknown_token_is_rejected() -> None:
    runtime = made(LlamaCppRuntime, load())
    with pytest.raises(ValueError, match="not in the vocabulary"):
        runtime.begin(1, [10**8], 5, ANY)
    assert write(runtime, runtime.encode(TEXT), 1)[1] == 1


def test_unknown_architecture_is_rejected_with_the_librarys_reason(tmp_path: Path) -> None:
    strange = tmp_path / "strange.gguf"
    strange.write_bytes(built_in_model().read_bytes().replace(b"llama", b"ouija"))
    with pytest.raises(CannotLoad, match=r"^llama\.cpp cannot load this model: .*'ouija'$"):
        made(LlamaCppRuntime, load(strange))


def test_first_piece_has_the_number_of_cached_tokens() -> None:
    runtime = made(LlamaCppRuntime, load(max_running=1))
    prompt = runtime.encode(TEXT)
    for cached in (0, len(prompt) - 1):  # the last one is computed again, for what follows it
        runtime.begin(0, prompt, 3, ANY)
        first, *others = run(runtime, {0})[0]
        assert first.cached == cached
        assert all(delta.cached is None for delta in others)


def test_control_tokens_in_top_logprobs_have_their_names() -> None:
    runtime = made(LlamaCppRuntime, load())
    names = set()
    for seed in range(8):
        sampling = Sampling(1.0, None, None, seed, logprobs=20)
        _, scored = score(runtime, runtime.encode(TEXT), 60, sampling)
        names |= {data for token in scored for data, _ in token.top}
    assert b"<|tenuto:end|>" in names
    assert b"" not in names


def test_prefixes_of_other_tenants_are_not_used() -> None:
    runtime = made(LlamaCppRuntime, replace(load(), prefix_cache="per_key"))
    prompt = runtime.encode(TEXT)
    for tenant, cached in (("a", 0), ("b", 0), ("a", len(prompt) - 1), ("b", len(prompt) - 1)):
        runtime.begin(0, prompt, 3, ANY, tenant)
        assert run(runtime, {0})[0][0].cached == cached


def test_running_prefix_is_shared_and_computed_once() -> None:
    runtime = made(LlamaCppRuntime, load(max_running=33))
    prompt = runtime.encode(TEXT * 20)
    runtime.begin(0, prompt, 40, GREEDY)
    while not runtime.step():
        pass
    texts = [runtime.encode(f" Number {key}.")[1:] for key in range(1, 33)]
    for key, text in enumerate(texts, 1):
        runtime.begin(key, prompt + text, 8, GREEDY)
    before = runtime.progress()["step"]
    deltas = run(runtime, set(range(33)))
    assert runtime._steps - before <= 41
    assert all(each[0].cached == len(prompt) for key, each in deltas.items() if key)


def test_a_completion_that_goes_on_has_the_numbers_of_the_one_that_was_not_cut() -> None:
    # All is computed, and nothing copied.
    runtime = made(LlamaCppRuntime, replace(load(), prefix_cache="off"))
    sampling = Sampling(0.0, None, None, seed=1, logprobs=3, ignore_eos=True)
    prompt = runtime.encode(TEXT)
    runtime.begin(0, prompt, 260, sampling)
    whole = run(runtime, {0})[0]
    ids = [token for delta in whole for token in delta.ids]
    scores = [token for delta in whole for token in delta.scored]
    # Beside others that are read and written, because steps are shared.
    runtime.begin(9, runtime.encode(TEXT * 8), 260, sampling)
    runtime.step()
    cuts = (1, 62, 63, 64, 130, 250)
    for cut in cuts:
        runtime.begin(cut, prompt + ids[:cut], 260 - cut, sampling, written=cut)
    rests = run(runtime, {9, *cuts})
    for cut in cuts:
        assert [token for delta in rests[cut] for token in delta.ids] == ids[cut:]
        assert [token for delta in rests[cut] for token in delta.scored] == scores[cut:]


def test_a_completion_has_the_same_numbers_alone_and_beside_others() -> None:
    runtime = made(LlamaCppRuntime, replace(load(), prefix_cache="off"))
    sampling = Sampling(0.0, None, None, seed=1, logprobs=3, ignore_eos=True)
    text = runtime.encode(TEXT * 40)
    prompts = {size: text[:size] for size in (40, 70, 130, 300, 545, 610, 700)}
    alone: dict[int, list[Delta]] = {}
    for size, prompt in prompts.items():
        runtime.begin(size, prompt, 20, sampling)
        alone |= run(runtime, {size})
    beside: dict[int, list[Delta]] = {size: [] for size in prompts}
    for size, prompt in prompts.items():
        # Beside those that are read, and those that write.
        runtime.begin(size, prompt, 20, sampling)
        for delta in runtime.step() if size % 20 else ():
            beside[delta.key].append(delta)
    for size, deltas in run(runtime, {*prompts}).items():
        beside[size] += deltas
    for size in prompts:
        one, other = ([token for delta in each[size] for token in delta.scored]
                      for each in (alone, beside))  # fmt: skip
        assert one == other


def score_prompt(runtime: LlamaCppRuntime, prompt: list[int], most: int) -> list[ScoredToken]:
    runtime.begin(99, prompt, 1, replace(GREEDY, prompt_logprobs=most))
    first, *scored = [token for delta in run(runtime, {99})[99] for token in delta.prompt]
    assert (first.logprob, first.top) == (None, ())
    return scored


@pytest.mark.parametrize("kv_cache_mib", [1, None], ids=["one stream", "a stream for each job"])
@pytest.mark.parametrize("prefix_cache", ["shared", "off"])
def test_scores_of_a_prompt_are_those_of_generated_tokens(
    kv_cache_mib: int | None, prefix_cache: str
) -> None:
    runtime = made(
        LlamaCppRuntime, replace(load(kv_cache_mib=kv_cache_mib), prefix_cache=prefix_cache)
    )
    prompt = runtime.encode(TEXT + " The fox")
    # In the cache it has no logits; they must be computed all the same.
    write(runtime, prompt, 1)

    scored = score_prompt(runtime, prompt, 5)

    assert b"".join(token.data for token in scored).decode() == TEXT + " The fox"
    assert len(scored) == len(prompt) - 1
    for length, token in enumerate(scored, 1):
        # The next token after each part of the prompt, in a step of its own.
        _, (reference,) = score(runtime, prompt[:length], 1, replace(GREEDY, logprobs=5))
        expected = dict(reference.top)
        top = dict(token.top)
        assert top[token.data] == token.logprob
        assert 5 <= len(top) <= 6
        near = [name for name, _ in reference.top[:3]]
        assert [top[name] for name in near] == pytest.approx(
            [expected[name] for name in near], abs=0.05
        )
        if token.data in expected:
            assert token.logprob == pytest.approx(expected[token.data], abs=0.05)


def test_long_prompts_are_scored_beside_other_jobs(endless_model: Path) -> None:
    runtime = made(LlamaCppRuntime, load(endless_model))
    prompt = runtime.encode(TEXT * 12)
    for key in (1, 2, 3):
        runtime.begin(key, prompt, 400, replace(ANY, seed=key))
    runtime.begin(4, prompt, 3, replace(ANY, logprobs=0, prompt_logprobs=0))
    other = [prompt[1], *prompt]  # has no prefix of the first
    runtime.begin(5, other, 3, replace(ANY, prompt_logprobs=0))
    deltas: dict[int, list[Delta]] = {key: [] for key in range(1, 6)}
    while not all(deltas[key] and deltas[key][-1].ending for key in (4, 5)):
        step = runtime.step()
        # The logits of a step take memory, whatever the length of a prompt.
        reported = sum(len(delta.prompt) + delta.tokens for delta in step)
        assert reported <= runtime._context.rows + 2  # the first tokens have no logits
        for delta in step:
            deltas[delta.key].append(delta)
    for key, ids in ((4, prompt), (5, other)):
        scored = [token for delta in deltas[key] for token in delta.prompt]
        assert [token.data for token in scored] == [runtime._model.name(id_) for id_ in ids]
        assert sum(delta.tokens for delta in deltas[key]) == 3
    assert sum(delta.tokens for delta in deltas[1]) > 10
    assert not any(delta.prompt for key in (1, 2, 3) for delta in deltas[key])
    for key in (1, 2, 3):
        runtime.cancel(key)
    assert runtime.step() == []


def test_cancelled_job_is_not_scored_further() -> None:
    runtime = made(LlamaCppRuntime, load())
    prompt = runtime.encode(TEXT * 12)
    runtime.begin(1, prompt, 3, replace(GREEDY, prompt_logprobs=0))
    (delta,) = runtime.step()
    assert 0 < len(delta.prompt) < len(prompt) - 1
    runtime.cancel(1)
    assert runtime.step() == []


def run_all(runtime: LlamaCppRuntime, keys: set[int]) -> dict[int, list]:  # type: ignore[type-arg]
    return run(runtime, keys)


def test_small_model_has_one_thread_by_default() -> None:
    assert made(LlamaCppRuntime, replace(load(), threads=None)).threads == 1
