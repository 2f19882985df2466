from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from tenuto.bench import engine_load
from tenuto.bench.candidates import PREFILL, Candidate
from tenuto.core.job import Finish, Job, Piece, Sampling, Usage
from tenuto.core.prompt import Prompt
from tenuto.core.refusal import Kind, ModelError
from tenuto.engine.local import gguf
from tenuto.engine.local.engine import LocalEngine
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.supervisor import Process, Serving, Supervisor
from tenuto.engine.local.tuning import ModelTuning
from tenuto.prompt.turns import human_turn, parse_prompt, raw_prompt
from tenuto.settings import LocalSettings
from tests.conftest import PATIENCE_S
from tests.engine.contract import PROMPT, EngineContract, job, write
from tests.model_files import with_template
from tests.model_folders import as_folder
from tests.refusals import refused
from tests.split_files import split
from tests.vocabularies import with_metadata

pytestmark = pytest.mark.anyio

SETTINGS = LocalSettings(load_wait_s=PATIENCE_S)
# With one thread: two on two busy cores wait for each other.
LLAMA_CPP = replace(SETTINGS, runtime="llamacpp", threads=1, max_running=8)


async def started(settings: LocalSettings = SETTINGS) -> LocalEngine:
    engine = LocalEngine(settings)
    await engine.start()
    await engine.ready()
    return engine


Library = Literal["openvino", "llamacpp"]
BOTH = pytest.mark.parametrize("runtime", ["openvino", "llamacpp"])
_LIBRARIES: dict[Library, str] = {"openvino": "openvino_genai", "llamacpp": "xllamacpp"}


def of_runtime(runtime: Library, **changes: Any) -> LocalSettings:
    """Settings for a test that both runtimes pass; it is skipped where one is missing."""
    pytest.importorskip(_LIBRARIES[runtime])
    return replace(LLAMA_CPP, runtime=runtime, **changes)


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[LocalEngine]:
    """For all tests that leave it as they found it."""
    engine = await started()
    yield engine
    await engine.aclose()


@pytest.fixture
async def mortal(endless_model: Path) -> AsyncIterator[LocalEngine]:
    """For a test that closes it, or kills its worker."""
    engine = await started(replace(SETTINGS, model=endless_model))
    yield engine
    await engine.aclose()


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


class TestOpenVinoContract(EngineContract):
    @pytest.fixture(scope="class")
    async def engine(self, endless_model: Path) -> AsyncIterator[LocalEngine]:
        engine = await started(of_runtime("openvino", model=endless_model))
        yield engine
        await engine.aclose()

    @pytest.fixture
    async def mortal(self, endless_model: Path) -> AsyncIterator[LocalEngine]:
        engine = await started(of_runtime("openvino", model=endless_model))
        yield engine
        await engine.aclose()


@BOTH
async def test_jobs_without_a_seed_differ(endless_model: Path, runtime: Library) -> None:
    engine = await started(of_runtime(runtime, model=endless_model))
    try:
        texts = {text_of(await write(engine, job(24, seed=None))) for _ in range(4)}
        assert len(texts) == 4
    finally:
        await engine.aclose()


async def test_temperature_0_takes_the_likeliest_token(engine: LocalEngine) -> None:
    greedy = [Job(PROMPT, 24, sampling=Sampling(temperature=0, seed=seed)) for seed in range(4)]
    await write(engine, greedy[0])  # Fills the prefix cache.
    assert len({text_of(await write(engine, each)) for each in greedy}) == 1


@pytest.mark.parametrize("fields", [{"top_p": 0.0}, {"top_k": 1}, {"top_p": 0.0, "top_k": 5}])
async def test_the_narrowest_sampling_is_greedy(
    engine: LocalEngine, fields: dict[str, float]
) -> None:
    reference = Job(PROMPT, 24, sampling=Sampling(temperature=0))
    await write(engine, reference)
    narrow = Job(PROMPT, 24, sampling=Sampling(seed=5, **fields))  # type: ignore[arg-type]
    assert text_of(await write(engine, narrow)) == text_of(await write(engine, reference))


@pytest.mark.parametrize(
    "fields", [{"top_k": 2**64}, {"top_k": 10**30}, {"temperature": 1e-300}, {"top_p": 1e-300}]
)
async def test_extreme_sampling_values_complete(
    engine: LocalEngine, fields: dict[str, float]
) -> None:
    odd = Job(PROMPT, 4, sampling=Sampling(**fields))  # type: ignore[arg-type]
    assert (await write(engine, odd))[-1].finish is not None
    assert engine.health().restarts == 0


async def test_prompt_over_the_context_is_rejected_with_both_numbers(
    engine: LocalEngine,
) -> None:
    context = engine.capabilities.context
    prompt = raw_prompt("one two three " * context)
    with refused(Kind.TOO_LONG) as caught:
        await write(engine, Job(prompt, 1))
    tokens, limit = map(int, re.findall(r"\d+", caught.value.message))
    assert limit == context - 1
    assert tokens > context


async def test_prompt_far_over_the_context_is_rejected_before_tokenising(
    engine: LocalEngine,
) -> None:
    with refused(Kind.TOO_LONG):
        await asyncio.wait_for(write(engine, Job(raw_prompt("x" * 30_000_000), 1)), 20)


@BOTH
async def test_max_tokens_over_the_context_are_capped(
    endless_model: Path, runtime: Library
) -> None:
    engine = await started(of_runtime(runtime, model=endless_model))
    try:
        context = engine.capabilities.context
        pieces = await write(engine, Job(raw_prompt("word " * (context - 40)), 10**9))
        assert pieces[0].usage is not None
        assert pieces[0].usage.input_tokens is not None
        assert pieces[-1].finish is Finish.LENGTH
        assert sum(piece.tokens for piece in pieces) == context - pieces[0].usage.input_tokens
    finally:
        await engine.aclose()


@pytest.mark.parametrize("text", ["\0", "a\0b", "\n\nHuman: 😀é漢\n\nAssistant:", " ", "\ufffd"])
async def test_any_text_completes(engine: LocalEngine, text: str) -> None:
    assert (await write(engine, Job(raw_prompt(text), 4)))[-1].finish is not None


async def test_full_queue_is_overloaded(endless_model: Path) -> None:
    settings = replace(SETTINGS, model=endless_model, max_running=1, max_waiting=1)
    engine = await started(settings)
    jobs = [engine.generate(job(2000)) for _ in range(3)]
    try:
        await anext(jobs[0])
        await anext(jobs[1])
        with refused(Kind.OVERLOADED):
            await anext(jobs[2])
        async with asyncio.timeout(PATIENCE_S):
            while (status := engine.health()).waiting != 1:
                await asyncio.sleep(0.002)
        assert status.running == 1
    finally:
        for each in jobs:
            await each.aclose()
        await engine.aclose()


async def test_jobs_over_the_cache_are_queued_and_complete(
    endless_model: Path,
) -> None:
    # Room for two completions of this length: the others wait, and none is cut short.
    engine = await started(replace(SETTINGS, model=endless_model, kv_cache_mib=1))
    try:
        assert engine.capabilities.kv_blocks < 64
        jobs = [Job(PROMPT, 300, sampling=Sampling(seed=seed)) for seed in range(12)]
        for pieces in await asyncio.gather(*(write(engine, each) for each in jobs)):
            assert sum(piece.tokens for piece in pieces) == 300
            assert pieces[-1].finish is Finish.LENGTH
    finally:
        await engine.aclose()


async def rest(pieces: AsyncIterator[Piece]) -> list[Piece]:
    return [piece async for piece in pieces]


def worker_pid(engine: LocalEngine) -> int:
    state = engine._supervisor.state
    assert isinstance(state, Serving)
    return state.worker.pid


async def idle(engine: LocalEngine) -> None:
    """Wait until every slot is free."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            status = engine.health()
            if not (status.running or status.waiting or status.kv_blocks_reserved):
                return
            await asyncio.sleep(0.005)


@BOTH
async def test_killed_worker_fails_its_jobs_and_is_replaced(
    endless_model: Path, runtime: Library
) -> None:
    mortal = await started(of_runtime(runtime, model=endless_model, max_running=2))
    try:
        # Two that run, and two that wait.
        jobs = [mortal.generate(job(2000, seed=seed)) for seed in range(4)]
        for each in jobs:
            await anext(each)
        os.kill(worker_pid(mortal), signal.SIGKILL)
        for each in jobs:
            with refused(Kind.FAILED, match="send the request once more"):
                await rest(each)
        assert sum(piece.tokens for piece in await write(mortal, job())) == 12
        assert mortal.health().restarts == 1
        await idle(mortal)
    finally:
        await mortal.aclose()


@BOTH
async def test_caller_that_never_reads_does_not_block_others(
    endless_model: Path, runtime: Library
) -> None:
    engine = await started(of_runtime(runtime, model=endless_model, max_running=2))
    try:
        lazy = [engine.generate(job(1000, seed=seed)) for seed in range(2)]
        for each in lazy:
            await anext(each)
        # Both places are taken by those that do not read, and become free all the same.
        assert sum(piece.tokens for piece in await write(engine, job(20))) == 20
        await idle(engine)
        for each in lazy:
            assert sum(piece.tokens for piece in await rest(each)) == 1000
    finally:
        await engine.aclose()


@BOTH
async def test_cancelling_frees_running_and_queued_jobs(
    endless_model: Path, runtime: Library
) -> None:
    engine = await started(of_runtime(runtime, model=endless_model, max_running=2))
    try:
        jobs = [engine.generate(job(2000, seed=seed)) for seed in range(6)]
        for each in jobs:
            await anext(each)
        for each in jobs:
            await each.aclose()
        await idle(engine)
        assert sum(piece.tokens for piece in await write(engine, job(20))) == 20
    finally:
        await engine.aclose()


async def test_derived_limits_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = replace(SETTINGS, threads=1, context=512, kv_cache_mib=8, batch_tokens=64)
    with caplog.at_level("INFO", logger="tenuto.engine"):
        engine = await started(settings)
    try:
        (limits,) = [line for line in caplog.messages if line.startswith("threads")]
        blocks = engine.capabilities.kv_blocks
        assert re.fullmatch(
            # Of 8 MiB, a runtime may need a part for copies.
            rf"threads 1, context 512 tokens, KV cache [678] MiB \({blocks} blocks\), "
            rf"up to {min(64, blocks)} completions at once, 64 tokens a step",
            limits,
        )
        with refused(Kind.TOO_LONG, match="> 511 maximum"):
            await write(engine, Job(raw_prompt("word " * 600), 1))
    finally:
        await engine.aclose()


async def test_a_worker_ends_with_its_engine(mortal: LocalEngine) -> None:
    pid = worker_pid(mortal)
    await mortal.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_job_waits_for_the_model_to_load() -> None:
    engine = LocalEngine(SETTINGS)
    await engine.start()
    try:
        assert not engine.health().ready
        assert (await write(engine, job()))[-1].finish is not None
    finally:
        await engine.aclose()


async def test_wait_for_the_model_is_limited() -> None:
    engine = LocalEngine(LocalSettings(load_wait_s=0.0))
    await engine.start()
    try:
        with refused(Kind.OVERLOADED, match="still loading"):
            await write(engine, job())
    finally:
        await engine.aclose()


def test_missing_file_is_an_error_with_its_name() -> None:
    with pytest.raises(ModelError, match=r"nowhere\.gguf: there is no such file"):
        LocalEngine(LocalSettings(model=Path("nowhere.gguf")))


def test_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a folder without a model; name a GGUF file, or"):
        LocalEngine(LocalSettings(model=tmp_path))


def test_damaged_folder_is_rejected_before_loading(tmp_path: Path) -> None:
    (tmp_path / "openvino_model.xml").touch()
    with pytest.raises(ModelError, match=r"openvino_model\.bin is missing$"):
        LocalEngine(LocalSettings(model=tmp_path))


async def test_openvino_folder_is_a_model(tmp_path: Path, capital_model: Path) -> None:
    pytest.importorskip("openvino_genai")
    folder = as_folder(capital_model, tmp_path / "capital-ov")
    engine = await started(replace(SETTINGS, model=folder))
    try:
        assert await engine.ready() == "capital-ov"
        assert text_of(await write(engine, job())) == " The capital of France is Paris."
    finally:
        await engine.aclose()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.5, 0.99])
def test_truncated_file_is_rejected_before_loading(tmp_path: Path, share: float) -> None:
    whole = built_in_model().read_bytes()
    path = tmp_path / "half.gguf"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match=r"half\.gguf: (the file is truncated|not a GGUF)"):
        LocalEngine(LocalSettings(model=path))


async def test_file_rejected_by_the_runtime_fails_every_job(tmp_path: Path) -> None:
    # A sound file of an architecture that nobody knows.
    path = tmp_path / "odd.gguf"
    path.write_bytes(built_in_model().read_bytes().replace(b"llama", b"zzama"))
    engine = LocalEngine(LocalSettings(model=path))
    await engine.start()
    try:
        with pytest.raises(ModelError, match=r"odd\.gguf"):
            await engine.ready()
        with pytest.raises(ModelError):
            await write(engine, Job(parse_prompt(human_turn("hi")), 5))
        status = engine.health()
        assert not status.ready
        assert status.detail == "The model cannot be loaded; the log says why."
    finally:
        await engine.aclose()


@BOTH
async def test_hanging_worker_is_killed_and_replaced(endless_model: Path, runtime: Library) -> None:
    engine = await started(of_runtime(runtime, model=endless_model, step_timeout_s=1.0))
    try:
        running = engine.generate(job(2000))
        await anext(running)
        stopped = worker_pid(engine)
        os.kill(stopped, signal.SIGSTOP)
        with refused(Kind.FAILED, match="send the request once more"):
            await asyncio.wait_for(rest(running), PATIENCE_S)
        # Who comes next waits for the new worker, and is served.
        assert sum(piece.tokens for piece in await write(engine, job())) == 12
        assert worker_pid(engine) != stopped
        assert engine.health().restarts == 1
        with pytest.raises(ProcessLookupError):
            os.kill(stopped, 0)
    finally:
        await engine.aclose()


async def test_worker_that_hangs_while_idle_is_replaced() -> None:
    engine = await started(replace(SETTINGS, step_timeout_s=0.5))
    try:
        os.kill(worker_pid(engine), signal.SIGSTOP)
        async with asyncio.timeout(PATIENCE_S):
            while engine.health().restarts == 0:
                await asyncio.sleep(0.02)
        assert (await write(engine, job()))[-1].finish is not None
    finally:
        await engine.aclose()


async def test_starved_worker_loses_no_text(endless_model: Path) -> None:
    starving = await started(replace(SETTINGS, model=endless_model))
    try:
        pid = worker_pid(starving)
        writing = asyncio.create_task(write(starving, job(100)))
        # It runs for a moment at a time, as on a machine where others have all processors.
        while not writing.done():
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(0.05)
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.005)
        pieces = writing.result()
        assert sum(piece.tokens for piece in pieces) == 100
        assert pieces[-1].finish is Finish.LENGTH
        assert starving.health().restarts == 0
    finally:
        await starving.aclose()


# The format that the built-in model was taught, spelled as a template.
TAUGHT = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '\n\nHuman: ' if m.role == 'user' else '\n\nAssistant: ' }}{{ m.content }}"
    "{% endfor %}{{ '\n\nAssistant:' }}"
)


async def greedy(engine: LocalEngine, prompt: Prompt) -> tuple[str, Finish | None]:
    pieces = await write(engine, Job(prompt, 60, sampling=Sampling(temperature=0)))
    return text_of(pieces), pieces[-1].finish


async def test_chat_model_gets_its_template(tmp_path: Path) -> None:
    # One that the model was never taught: what it answers shows that it was given just this.
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}<answer>"
    path = with_template(tmp_path / "chat.gguf", template)
    chat = await started(replace(SETTINGS, model=path))
    raw = await started(replace(SETTINGS, model=path, format="raw"))
    try:
        talk = parse_prompt("Sys.\n\nHuman: Hi\n\nAssistant: Yo\n\nHuman: Why\n\nAssistant: Well")
        same = "<system>Sys.</><user>Hi</><assistant>Yo</><user>Why</><answer>Well"
        assert await greedy(chat, talk) == await greedy(raw, raw_prompt(same))
        assert await greedy(chat, talk) != await greedy(raw, talk)
        # A text without turns is what it is, also to a model that chats.
        assert await greedy(chat, raw_prompt(same)) == await greedy(raw, raw_prompt(same))
    finally:
        await chat.aclose()
        await raw.aclose()


@BOTH
async def test_chat_model_ends_its_turn_and_keeps_the_space(
    tmp_path: Path, capital_model: Path, runtime: Library
) -> None:
    path = with_template(tmp_path / "chat.gguf", TAUGHT, capital_model)
    engine = await started(of_runtime(runtime, model=path))
    try:
        whole = (" The capital of France is Paris.", Finish.END)
        assert await greedy(engine, PROMPT) == whole
        # The space belongs to the beginning of an answer, not to what follows on a beginning.
        begun = parse_prompt("\n\nHuman: Say it.\n\nAssistant: The capital of")
        assert await greedy(engine, begun) == (" France is Paris.", Finish.END)
    finally:
        await engine.aclose()


async def test_prompt_rejected_by_the_template_is_a_client_error(tmp_path: Path) -> None:
    refuses = "{% if messages | length > 1 %}{{ raise_exception('one turn only') }}{% endif %}x"
    engine = await started(
        replace(SETTINGS, model=with_template(tmp_path / "chat.gguf", refuses), format="chat")
    )
    try:
        talk = parse_prompt("\n\nHuman: A\n\nAssistant: B\n\nHuman: C\n\nAssistant:")
        with refused(Kind.INVALID, match="one turn only"):
            await write(engine, Job(talk, 4))
        assert (await write(engine, job(4)))[-1].finish is not None
    finally:
        await engine.aclose()


async def test_broken_template_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    path = with_template(tmp_path / "broken.gguf", "{% if %}")
    engine = LocalEngine(replace(SETTINGS, model=path))
    await engine.start()
    try:
        with pytest.raises(ModelError, match=r'template does not work.*`format = "raw"`'):
            await engine.ready()
    finally:
        await engine.aclose()


@BOTH
@pytest.mark.parametrize("name", ["bos", "eos"])
async def test_token_id_outside_the_vocabulary_is_ignored(
    tmp_path: Path, runtime: Library, name: str
) -> None:
    answers = []
    greedy_job = replace(job(6), sampling=Sampling(0.0))
    # llama.cpp refuses -1 at start, since its type is another.
    minus_one = [(5, b"\xff\xff\xff\xff")] if runtime == "openvino" else []
    for value in (None, 2**32 - 1, *minus_one):
        path = with_metadata(tmp_path / "m.gguf", {f"tokenizer.ggml.{name}_token_id": value})
        engine = await started(of_runtime(runtime, model=path))
        try:
            pieces = [await write(engine, greedy_job) for _ in range(2)]
            usages = [each[0].usage or Usage() for each in pieces]
            counts = [usage.input_tokens for usage in usages]
            answers.append(([text_of(each) for each in pieces], counts))
            assert engine.health().restarts == 0
        finally:
            await engine.aclose()
    # With as many tokens in the prompt: none is put in front of it.
    assert all(answer == answers[0] for answer in answers)


async def test_token_id_that_crashes_openvino_runs_on_llamacpp(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    path = with_metadata(tmp_path / "m.gguf", {"tokenizer.ggml.unknown_token_id": 2**32 - 1})
    engine = await started(replace(SETTINGS, model=path))
    try:
        assert (await write(engine, job()))[-1].finish is not None
        assert engine.health().restarts == 0
    finally:
        await engine.aclose()
    engine = LocalEngine(replace(SETTINGS, model=path, runtime="openvino"))
    await engine.start()
    try:
        with pytest.raises(ModelError, match="unknown_token_id is not in the vocabulary; set"):
            await engine.ready()
    finally:
        await engine.aclose()


NAN, INFINITE = 0x7E00, 0x7C00  # in half precision


def damaged(path: Path, tensor: str, scale: int) -> Path:
    """Write the built-in model with another scale for some blocks of a tensor."""
    whole = bytearray(built_in_model().read_bytes())
    place = next(each for each in gguf.read(built_in_model()).tensors if each.name == tensor)
    for at in range(place.start, place.start + place.length, 34 * 50):
        struct.pack_into("<H", whole, at, scale)
    path.write_bytes(whole)
    return path


@BOTH
@pytest.mark.parametrize(
    ("tensor", "scale"), [("token_embd.weight", NAN), ("blk.2.ffn_up.weight", INFINITE)]
)
async def test_nan_weights_fail_each_request(
    tmp_path: Path,
    runtime: Library,
    tensor: str,
    scale: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = await started(of_runtime(runtime, model=damaged(tmp_path / "m.gguf", tensor, scale)))
    try:
        for temperature in (0.0, 1.0):
            for logprobs in (None, 0):
                broken_job = replace(job(2000), sampling=Sampling(temperature, logprobs=logprobs))
                with refused(Kind.FAILED, match="failed on this request"):
                    await write(engine, broken_job)
        assert engine.health().restarts == 0
    finally:
        await engine.aclose()
    assert "are not numbers (NaN), because its weights are damaged" in caplog.text


@BOTH
async def test_raw_text_spells_control_tokens_unless_disabled(
    runtime: Library,
) -> None:
    counts = []
    for special in (True, False):
        engine = await started(of_runtime(runtime, special_tokens_in_raw=special))
        try:
            pieces = await write(engine, Job(raw_prompt("a<|tenuto:end|>b"), 1))
            assert pieces[0].usage is not None
            counts.append(pieces[0].usage.input_tokens or 0)
        finally:
            await engine.aclose()
    # The token that begins a text, `a`, the token or its eight pieces, `b`.
    assert counts[0] == 4
    assert counts[1] > 8


@BOTH
async def test_text_of_a_turn_spells_no_control_token(tmp_path: Path, runtime: Library) -> None:
    path = with_template(tmp_path / "chat.gguf", TAUGHT)
    engine = await started(of_runtime(runtime, model=path))
    try:
        counts = []
        for text in ("", "<|tenuto:end|>"):
            pieces = await write(engine, Job(parse_prompt(human_turn(f"Say a{text}b")), 1))
            assert pieces[0].usage is not None
            counts.append(pieces[0].usage.input_tokens or 0)
        # As a control token it would be one.
        assert counts[1] - counts[0] > 4
    finally:
        await engine.aclose()


@BOTH
async def test_template_with_invalid_utf8_serves_requests(tmp_path: Path, runtime: Library) -> None:
    path = with_template(tmp_path / "chat.gguf", TAUGHT + "{{ 'caf?' }}")
    path.write_bytes(path.read_bytes().replace(b"caf?", b"caf\xe9"))
    engine = await started(of_runtime(runtime, model=path))
    try:
        assert (await write(engine, job()))[-1].finish is not None
        assert engine.health().restarts == 0
    finally:
        await engine.aclose()


@BOTH
async def test_model_in_the_hub_cache_runs_like_a_plain_file(
    tmp_path: Path, runtime: Library
) -> None:
    blob, snapshot = tmp_path / "blobs" / "0a1b", tmp_path / "snapshots" / "0123"
    blob.parent.mkdir()
    snapshot.mkdir(parents=True)
    shutil.copy(built_in_model(), blob)
    (snapshot / "mini.gguf").symlink_to("../../blobs/0a1b")
    engine = await started(of_runtime(runtime, model=snapshot / "mini.gguf"))
    try:
        assert await engine.ready() == "mini"
        assert text_of(await write(engine, job()))
    finally:
        await engine.aclose()


async def test_a_split_model_of_links_runs(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    parts = split(built_in_model(), tmp_path / "blobs", max_tensors=28, no_tensor_first_split=True)
    snapshot = tmp_path / "snapshots"
    snapshot.mkdir()
    for number, part in enumerate(parts):
        blob = part.rename(part.with_name(f"0a{number}b"))
        (snapshot / part.name).symlink_to(f"../blobs/{blob.name}")
    engine = await started(replace(SETTINGS, model=snapshot / parts[0].name))
    try:
        assert await engine.ready() == "m"
        assert text_of(await write(engine, job()))
    finally:
        await engine.aclose()


async def test_fallback_to_another_runtime_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("openvino_genai")
    # OpenVINO insists on this entry, llama.cpp does not.
    key = b"general.file_type"
    path = tmp_path / "odd.gguf"
    path.write_bytes(built_in_model().read_bytes().replace(key, key[:-1] + b"_"))
    ModelTuning(path, tmp_path / "tunings").keep("openvino", 1, "few", "")
    engine = LocalEngine(replace(SETTINGS, model=path, threads=1), tmp_path / "tunings")
    with caplog.at_level("INFO", logger="tenuto.engine"):
        await engine.start()
        try:
            assert (await write(engine, job()))[-1].finish is not None
            os.kill(worker_pid(engine), signal.SIGKILL)
            async with asyncio.timeout(PATIENCE_S):
                while engine.health().restarts == 0:
                    await asyncio.sleep(0.02)
            assert (await write(engine, job()))[-1].finish is not None
        finally:
            await engine.aclose()
    messages = [line for line in caplog.messages if "llamacpp runs it instead" in line]
    assert len(messages) == 1
    assert messages[0].startswith("OpenVINO cannot load this model: ")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "m runs on llamacpp (tuned on {date}), with prompts as text"),
        ({"threads": 2}, "m runs on llamacpp (tuned on {date}), with prompts as text"),
        ({"runtime": "llamacpp"}, "m runs on llamacpp (as configured), with prompts as text"),
    ],
)
async def test_runtime_and_its_reason_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], line: str
) -> None:
    pytest.importorskip("xllamacpp")
    path = tmp_path / "m.gguf"
    path.write_bytes(built_in_model().read_bytes())
    kept = ModelTuning(path, tmp_path / "tunings").keep("llamacpp", 1, "few", "")
    engine = LocalEngine(replace(SETTINGS, model=path, **changes), tmp_path / "tunings")
    with caplog.at_level("INFO", logger="tenuto.engine"):
        await engine.start()
        try:
            await engine.ready()
        finally:
            await engine.aclose()
    assert line.format(date=kept.date) in caplog.messages
    threads = {"threads": "threads 2,", "runtime": "threads "}.get(
        next(iter(changes), ""), "threads 1,"
    )
    assert any(message.startswith(threads) for message in caplog.messages)


async def test_all_shapes_of_a_running_model_are_measured(
    endless_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    monkeypatch.setattr(engine_load, "_WINDOW_S", 0.05)
    engine = LocalEngine(replace(LLAMA_CPP, model=endless_model))
    candidate = Candidate("llamacpp", "llama.cpp", 1)
    found = await engine_load.measure(candidate, lambda: engine, [PREFILL, 1, 8], PATIENCE_S)
    assert found.failure == ""
    assert found.load_s is not None
    assert set(found.rates) == {PREFILL, 1, 8}
    assert min(found.rates.values()) > 0
    assert engine.health().detail == "The engine is shutting down."


async def test_configured_runtime_is_not_replaced(tmp_path: Path) -> None:
    pytest.importorskip("openvino_genai")
    key = b"general.file_type"
    path = tmp_path / "odd.gguf"
    path.write_bytes(built_in_model().read_bytes().replace(key, key[:-1] + b"_"))
    engine = LocalEngine(replace(SETTINGS, model=path, runtime="openvino"))
    await engine.start()
    try:
        with pytest.raises(ModelError, match="OpenVINO cannot load this model"):
            await engine.ready()
    finally:
        await engine.aclose()


class TestLlamaCppContract(EngineContract):
    @pytest.fixture(scope="class")
    async def engine(self, endless_model: Path) -> AsyncIterator[LocalEngine]:
        pytest.importorskip("xllamacpp")
        engine = await started(replace(LLAMA_CPP, model=endless_model))
        yield engine
        await engine.aclose()

    @pytest.fixture
    async def mortal(self, endless_model: Path) -> AsyncIterator[LocalEngine]:
        pytest.importorskip("xllamacpp")
        engine = await started(replace(LLAMA_CPP, model=endless_model))
        yield engine
        await engine.aclose()


async def test_crashing_runtime_is_replaced_for_the_last_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("xllamacpp")
    tried: list[str] = []

    async def die(supervisor: Supervisor, worker: Process) -> bool:
        tried.append(supervisor.load.runtime)
        supervisor._alternative = "llamacpp"
        await worker.kill()
        return False

    monkeypatch.setattr(Supervisor, "_run", die)
    engine = LocalEngine(SETTINGS)
    await engine.start()
    try:
        with pytest.raises(ModelError, match="crashes when it loads"):
            await engine.ready()
        assert tried == ["auto", "auto", "llamacpp"]
    finally:
        await engine.aclose()
