"""A model is loaded without libraries that it does not need: their imports delay every start."""

from __future__ import annotations

from tests.test_layers import loaded_by

LOAD = """
from tenuto.engine.local import worker
from tenuto.engine.local.frames import Load
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.model_loading import load_model
from tenuto.engine.local.runtime import RuntimeOptions
load_model(Load(RuntimeOptions(str(built_in_model()), 1), 1, "llamacpp"), lambda *chosen: None)
"""


def test_worker_loads_a_model_without_slow_imports() -> None:
    loaded = loaded_by(LOAD)

    assert "tenuto.engine.local.runtimes.llamacpp.runtime" in loaded
    slow = {"asyncio", "concurrent.futures", "importlib.metadata", "logging", "tempfile", "xml"}
    assert not loaded & {*slow, "jinja2", "numpy", "openvino", "pydantic", "xllamacpp"}
