from __future__ import annotations

import pytest

from tenuto.engine.registry import create
from tenuto.settings import EngineSettings


def test_unknown_engine_error_lists_the_engines() -> None:
    with pytest.raises(ValueError, match="unknown engine `ehco`; use one of: echo, local"):
        create(EngineSettings("ehco"))  # type: ignore[arg-type]
