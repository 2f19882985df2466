from __future__ import annotations

import pytest

from tenuto.engine.registry import create
from tenuto.settings import EngineSettings


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(ValueError, match="unknown engine `ehco`; use one of: echo, local"):
        create(EngineSettings("ehco"))  # type: ignore[arg-type]
