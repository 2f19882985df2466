"""Whole streams, byte for byte, in both versions: see `tests/golden`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenuto.core.events import End, Ended, Text
from tenuto.core.job import TokenLogprob, Usage
from tenuto.core.refusal import Refusal, overloaded
from tenuto.wire.completions.sse import encoder_of
from tenuto.wire.completions.versions import Version

GOLDEN = Path(__file__).parents[2] / "golden"

STREAMS: dict[str, list[Text | Ended | Refusal | None]] = {
    # None: a ping.
    "stop-sequence": [None, Text(" One"), None, Text(' tw"ö"'), Ended(End.TURN)],
    "max-tokens": [Text(" One"), Ended(End.LENGTH)],
    "extensions": [
        Text(" One", (TokenLogprob(" One", 0, 4, -0.5, {" One": -0.5}),)),
        Text(
            "\x85\N{GRINNING FACE}",
            (TokenLogprob("\x85", 4, 5, -1.5), TokenLogprob(r"bytes:\xf0", 5, 6, None)),
        ),
        Ended(End.TURN, None, (), Usage(22, None, 7, 12.5)),
    ],
    "error": [Text(" One"), overloaded("Overloaded")],
}


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("name", STREAMS)
def test_stream_equals_the_golden_file(version: Version, name: str) -> None:
    encoder = encoder_of(version, "compl_01QqWwEeRrTtYyUuIiOoPpAa", "claude-2.1", top=True)
    stream = b""
    for event in STREAMS[name]:
        if event is None:
            stream += encoder.ping()
        elif isinstance(event, Text):
            stream += encoder.text(event)
        elif isinstance(event, Ended):
            stream += encoder.end(event)
        else:
            stream += encoder.error(event, "req_01AAbbCCddEEffGGhhJJkkLL")
    assert stream == (GOLDEN / f"{version}-{name}.sse").read_bytes()
