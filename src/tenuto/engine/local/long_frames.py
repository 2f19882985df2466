"""The frame of a job whose prompt is long, written piece by piece. Only the parent sends such."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

from tenuto.core.long_text import Rope, Text
from tenuto.engine.local.frames import Encoded, Submit, named_values
from tenuto.wire.long_json import json_steps


def with_texts(
    frame: Submit, prompt: Text, messages: Sequence[tuple[str, Text]] | None
) -> Generator[None, None, Submit | Encoded]:
    """Return a job's frame with its texts. Yields between two pieces of work.

    Args:
        frame: All other fields.
        prompt: See `Submit`.
        messages: See `Submit`.
    """
    texts = [prompt, *(text for _, text in messages or ())]
    if not any(isinstance(text, Rope) for text in texts):
        return replace(
            frame,
            prompt=str(prompt),
            messages=None if messages is None else [(role, str(text)) for role, text in messages],
        )
    values = named_values(frame) | {"prompt": prompt, "messages": messages}
    parts = yield from json_steps([Submit.__name__, *values.values()])
    return Encoded.of(parts)
