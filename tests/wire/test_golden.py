"""Whole streams, byte for byte, in both dialects: see `tests/golden`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenuto.wire.errors import Overloaded
from tenuto.wire.events import CompletionEvent, ErrorEvent, Event, Ping
from tenuto.wire.extensions import Logprobs, Usage
from tenuto.wire.sse import encoder_of
from tenuto.wire.versions import Version

GOLDEN = Path(__file__).parent.parent / "golden"

STREAMS: dict[str, list[Event]] = {
    "stop-sequence": [
        Ping(),
        CompletionEvent(" One"),
        Ping(),
        CompletionEvent(' tw"ö"'),
        CompletionEvent("", "stop_sequence", "\n\nHuman:"),
    ],
    "max-tokens": [CompletionEvent(" One"), CompletionEvent("", "max_tokens")],
    "extensions": [
        CompletionEvent(" One", logprobs=Logprobs([" One"], [-0.5], [{" One": -0.5}], [0])),
        CompletionEvent(
            "\x85\N{GRINNING FACE}",
            logprobs=Logprobs(["\x85", r"bytes:\xf0"], [-1.5, None], [{}, None], [4, 5]),
        ),
        CompletionEvent(
            "",
            "stop_sequence",
            "\n\nHuman:",
            Logprobs(top_logprobs=[]),
            Usage(22, None, 7, 12.5),
        ),
    ],
    "error": [CompletionEvent(" One"), ErrorEvent(Overloaded("Overloaded"))],
}


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_has_exactly_these_bytes(version: Version, name: str) -> None:
    encoder = encoder_of(version, "compl_01QqWwEeRrTtYyUuIiOoPpAa", "claude-2.1")
    request_id = "req_01AAbbCCddEEffGGhhJJkkLL"
    stream = b"".join(encoder.encode(event, request_id) for event in STREAMS[name])
    assert stream == (GOLDEN / f"{version}-{name}.sse").read_bytes()
