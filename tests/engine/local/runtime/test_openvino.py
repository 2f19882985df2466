from __future__ import annotations

import pytest

from tenuto.engine.local.frames import Load
from tenuto.engine.local.runtime.base import Runtime
from tenuto.engine.local.runtime.openvino import OpenVinoRuntime
from tests.engine.local.runtime.contract import (
    ANY,
    TEXT,
    RuntimeContract,
    beside_a_long_prompt,
    load,
    run,
)

pytest.importorskip("openvino_genai")


class TestOpenVinoKeepsTheContract(RuntimeContract):
    @staticmethod
    def make(wanted: Load) -> Runtime:
        return OpenVinoRuntime(wanted)

    def test_a_running_job_writes_at_every_step(self, endless: Runtime) -> None:
        # The parts of the prompt are a token shorter each: that one is the running job's.
        assert beside_a_long_prompt(endless) == [1] * 4


def test_it_knows_no_other_tokens_and_nothing_of_its_cache() -> None:
    runtime = OpenVinoRuntime(load())
    assert runtime.most_logprobs == 0
    runtime.begin(0, runtime.encode(TEXT), 2, ANY)
    assert all(delta.cached is None for delta in run(runtime, {0})[0])
