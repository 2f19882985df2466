from __future__ import annotations

import pytest

from tenuto.engine.local.frames import Load
from tenuto.engine.local.runtime.base import Runtime
from tenuto.engine.local.runtime.openvino import OpenVinoRuntime
from tests.engine.local.runtime.contract import RuntimeContract

pytest.importorskip("openvino_genai")


class TestOpenVinoKeepsTheContract(RuntimeContract):
    @staticmethod
    def make(wanted: Load) -> Runtime:
        return OpenVinoRuntime(wanted)
