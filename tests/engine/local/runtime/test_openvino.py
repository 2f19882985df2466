from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tenuto.engine.local.frames import Load
from tenuto.engine.local.runtime.base import CannotLoad, Runtime
from tenuto.engine.local.runtime.openvino import OpenVinoRuntime
from tests.engine.local.runtime.contract import (
    ANY,
    GREEDY,
    TEXT,
    RuntimeContract,
    beside_a_long_prompt,
    load,
    run,
    write,
)
from tests.model_folders import as_folder

pytest.importorskip("openvino_genai")

Folders = Callable[[str], Path]


class TestOpenVinoKeepsTheContract(RuntimeContract):
    @classmethod
    def make(cls, wanted: Load) -> Runtime:
        return OpenVinoRuntime(wanted)

    def test_a_running_job_writes_at_every_step(self, endless: Runtime) -> None:
        # The parts of the prompt are a token shorter each: that one is the running job's.
        assert beside_a_long_prompt(endless) == [1] * 4


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Converts a model, each once."""
    return cache(lambda path: as_folder(Path(path), tmp_path_factory.mktemp("model") / "a-folder"))


class TestOpenVinosOwnFormatKeepsTheContract(TestOpenVinoKeepsTheContract):
    folders: Folders

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def converted(cls, folders: Folders) -> None:
        cls.folders = staticmethod(folders)

    @classmethod
    def make(cls, wanted: Load) -> Runtime:
        return OpenVinoRuntime(replace(wanted, path=str(cls.folders(wanted.path))))


def test_both_formats_of_a_model_write_the_same_text(folders: Folders) -> None:
    file, folder = OpenVinoRuntime(load()), OpenVinoRuntime(load(folders(load().path)))
    prompt = file.encode(TEXT)
    assert folder.encode(TEXT) == prompt
    assert folder.kv_bytes == file.kv_bytes
    assert write(folder, prompt, 40, GREEDY) == write(file, prompt, 40, GREEDY)


def test_it_knows_no_other_tokens_and_nothing_of_its_cache() -> None:
    runtime = OpenVinoRuntime(load())
    assert runtime.most_logprobs == 0
    runtime.begin(0, runtime.encode(TEXT), 2, ANY)
    assert all(delta.cached is None for delta in run(runtime, {0})[0])


def test_the_caches_memory_is_what_it_may_be_and_no_more() -> None:
    runtime = OpenVinoRuntime(load(kv_cache_mib=2))
    assert 0.9 * 2**21 < runtime.kv_bytes <= 2**21


def test_a_cache_without_room_for_a_token_is_refused() -> None:
    with pytest.raises(CannotLoad, match=r"kv_cache_mib is too small: 32 tokens take \d+ bytes"):
        OpenVinoRuntime(load(kv_cache_mib=0))
