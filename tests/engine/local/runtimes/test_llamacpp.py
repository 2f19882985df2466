from __future__ import annotations

import http.client
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tenuto.core.job import Sampling
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import CannotLoad, Runtime, RuntimeOptions, TextRefused
from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime
from tests.conftest import PATIENCE_S
from tests.engine.local.runtimes.contract import (
    ANY,
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
    """With a slot for each completion."""

    @classmethod
    def make(cls, options: RuntimeOptions) -> Runtime:
        runtime = made(LlamaCppRuntime, options)
        assert runtime.kv_blocks == options.max_running
        return runtime


class TestLlamaCppWithAPoolContract(RuntimeContract):
    """With cells for about two contexts, which eight slots share."""

    @classmethod
    def make(cls, options: RuntimeOptions) -> Runtime:
        runtime = made(LlamaCppRuntime, replace(options, kv_cache_mib=pool_mib()))
        if options.context is None:
            assert runtime.kv_blocks > options.max_running
        return runtime


# In a process of its own, which an overflow of the stack would end.
TOKENISE = """
import sys
from pathlib import Path
from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime
from tests.engine.local.runtimes.contract import load, made
runtime = made(LlamaCppRuntime, load(Path(sys.argv[1]), 4, 1))
print(*(len(runtime.encode(text * 60_000)) for text in ("Z", "\u4e2d", "!")))
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


@cache
def pool_mib() -> int:
    """The least memory that holds two whole contexts of the built-in model."""
    mib = 1
    while True:
        runtime = made(LlamaCppRuntime, load(kv_cache_mib=mib, max_running=2))
        if runtime.kv_blocks == 2:
            return mib
        mib += 1


def test_small_cache_budget_reduces_the_context() -> None:
    message = r"kv_cache_mib is too small: 256 tokens take (\d+) bytes"
    with pytest.raises(CannotLoad, match=message) as refusal:
        made(LlamaCppRuntime, load(kv_cache_mib=0))
    found = re.search(message, str(refusal.value))
    assert found is not None
    cells = 1024 * 1024 * 256 // int(found[1])

    runtime = made(LlamaCppRuntime, load(kv_cache_mib=1))

    assert runtime.context <= runtime.kv_blocks * runtime.block_tokens <= cells


def test_slots_are_limited_to_the_library_maximum() -> None:
    many = load(kv_cache_mib=16, max_running=1000)
    runtime = made(LlamaCppRuntime, many)
    assert runtime.kv_blocks <= 256
    assert write(runtime, runtime.encode(TEXT), 1)[1] == 1


def test_full_pool_is_reused(endless_model: Path) -> None:
    runtime = made(LlamaCppRuntime, load(endless_model, kv_cache_mib=1))
    prompt = runtime.encode(TEXT)
    for round_ in range(4):
        # Other texts each time: what the slots remember of earlier ones has to make room.
        begun = [prompt[0], *runtime.encode(f"round {round_}")[1:], *prompt[1:]]
        share = runtime.kv_blocks // 4 * runtime.block_tokens
        most = min(share, runtime.context) - len(begun)
        for key in range(4):
            runtime.begin(key, begun, most, ANY)
        for deltas in run(runtime, set(range(4))).values():
            assert sum(delta.tokens for delta in deltas) == most
            assert deltas[-1].ending == "length"


def test_prompt_rejected_by_the_library_fails_only_its_job() -> None:
    runtime = made(LlamaCppRuntime, load())
    runtime.begin(1, [10**8], 5, ANY)
    (delta,) = run(runtime, {1})[1]
    assert (delta.data, delta.tokens, delta.ending) == (b"", 0, "broke")
    assert write(runtime, runtime.encode(TEXT), 1)[1] == 1


def test_unknown_architecture_is_rejected_with_the_librarys_reason(tmp_path: Path) -> None:
    strange = tmp_path / "strange.gguf"
    strange.write_bytes(built_in_model().read_bytes().replace(b"llama", b"ouija"))
    with pytest.raises(CannotLoad, match=r"^llama\.cpp cannot load this model: .*'ouija'$"):
        made(LlamaCppRuntime, load(strange))


def test_port_is_on_loopback_and_requires_the_key() -> None:
    script = (
        "import sys; from tests.engine.local.runtimes.contract import load, made;"
        "from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime;"
        "runtime = made(LlamaCppRuntime, load());"
        "print(runtime._server._server.listening_address, runtime._server._prefix, flush=True);"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        address, prefix = process.stdout.readline().split()
        port = int(address.removeprefix("http://127.0.0.1:"))
        for path in ("/health", "/v1/models", "/props", "/slots", "/tokenize", "/"):
            for start in ("", prefix):
                for method in ("GET", "POST"):
                    for headers in ({}, {"Authorization": "Bearer guess"}):
                        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                        connection.request(method, start + path, headers=headers)
                        assert connection.getresponse().status in (401, 404)
                        connection.close()
        process.kill()


def test_runtime_listens_on_loopback_only(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    before = listeners()
    runtime = made(LlamaCppRuntime, load())
    after = listeners() - before
    assert runtime.context > 0
    assert len(after) == 1
    assert all(address.startswith("0100007F:") for address in after)


def listeners() -> set[str]:
    """The local addresses on which this process listens."""
    addresses = set()
    own = {str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                addresses.add(fields[1])
    return addresses


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


def test_character_of_several_tokens_has_no_logprob(
    endless_model: Path,
) -> None:
    runtime = made(LlamaCppRuntime, load(endless_model))
    runtime.begin(0, runtime.encode(TEXT), 400, Sampling(1.0, None, None, 3, logprobs=0))
    several = [delta for delta in run(runtime, {0})[0] if delta.data and delta.tokens > 1]
    assert several
    for delta in several:
        assert [(token.data, token.logprob) for token in delta.scored] == [(delta.data, None)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a file needs a folder")
def test_no_folder_needs_to_be_writable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert made(LlamaCppRuntime, load()).encode("Once")
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(built_in_model().read_bytes().replace(b"llama", b"zzama"))
    with pytest.raises(CannotLoad, match="unknown model architecture"):
        made(LlamaCppRuntime, load(odd))
