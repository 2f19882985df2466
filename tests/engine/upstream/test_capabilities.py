from __future__ import annotations

import pytest

from tenuto.engine.upstream.capabilities import capabilities_of
from tenuto.wire.names import MESSAGES_MODELS


@pytest.mark.parametrize("name", MESSAGES_MODELS)
def test_every_listed_model_has_a_family(name: str) -> None:
    # The last row of the tfound is another object than all rows of known models.
    assert capabilities_of(name) is not capabilities_of("unknown")


@pytest.mark.parametrize(
    ("name", "prefill", "sampling", "both", "most"),
    [
        ("claude-3-haiku-20240307", True, True, True, 4096),
        ("claude-3-5-haiku-latest", True, True, True, 8192),
        ("claude-3-7-sonnet-20250219", True, True, True, 64_000),
        ("claude-opus-4-1-20250805", True, True, False, 32_000),
        ("claude-haiku-4-5", True, True, False, 64_000),
        ("claude-sonnet-4-5-20250929", True, True, False, 64_000),
        ("claude-opus-4-6", False, True, False, 128_000),
        ("claude-sonnet-4-6", False, True, False, 128_000),
        ("claude-opus-4-7", False, False, False, 128_000),
        ("claude-sonnet-5-5", False, False, False, 128_000),
        ("claude-mythos-5-2", False, False, False, 128_000),
        ("claude-of-tomorrow-9", False, False, False, 128_000),
        # As the cloud platforms call them.
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", True, True, False, 64_000),
        ("claude-haiku-4-5@20251001", True, True, False, 64_000),
    ],
)
def test_capabilities_follow_the_model_family(
    name: str, prefill: bool, sampling: bool, both: bool, most: int
) -> None:
    found = capabilities_of(name)
    assert (found.prefill, found.sampling, found.both, found.max_output_tokens) == (
        *(prefill, sampling, both, most),
    )
