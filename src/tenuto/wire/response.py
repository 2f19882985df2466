"""The answer to a request that does not stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from json.encoder import encode_basestring

from tenuto.wire.events import StopReason
from tenuto.wire.extensions import Logprobs, Usage
from tenuto.wire.ids import log_id
from tenuto.wire.long_text import LongText
from tenuto.wire.text import encoded
from tenuto.wire.versions import Version


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole completion.

    Attributes:
        id: `compl_` and 24 letters and digits.
        completion: The text up to the stop sequence. It usually begins with one space, since
            the prompt ends without one; clients strip it themselves. A `LongText` if it is
            very long.
        stop_reason: `stop_sequence` also when the model ended its turn by itself.
        stop: The stop sequence that matched, None when the tokens ran out.
        model: The model that answered.
        logprobs: Of its tokens, where they were asked for; else None.
        usage: What it took, where the server tells it, which it does in the headers; else None.
    """

    id: str
    completion: str | LongText
    stop_reason: StopReason
    stop: str | None
    model: str
    logprobs: Logprobs | None = None
    usage: Usage | None = field(default=None, compare=False)

    def body(self, version: Version = Version.V2023_06_01) -> dict[str, object]:
        """The JSON object, in the order in which the service sends its fields."""
        body: dict[str, object] = {
            "type": "completion",
            "id": self.id,
            "completion": str(self.completion),
            "stop_reason": self.stop_reason,
            "model": self.model,
            "stop": self.stop,
            "log_id": log_id(self.id, version),
        }
        if version is Version.V2023_01_01:
            body |= {"truncated": False, "exception": None}
        if self.logprobs is not None:
            body["logprobs"] = self.logprobs.body()
        return body

    def parts(self, version: Version = Version.V2023_06_01) -> Iterator[bytes]:
        """Yield the JSON object in UTF-8, in parts that are made one by one."""
        text = self.completion
        whole = json.dumps(
            replace(self, completion="").body(version), ensure_ascii=False, separators=(",", ":")
        )
        # The fields before it are a constant and an id, so that this is the field itself.
        head, quotes, tail = whole.partition('"completion":""')
        yield encoded(head + quotes[:-1])
        for piece in text.pieces() if isinstance(text, LongText) else [text]:
            yield encoded(encode_basestring(piece)[1:-1])
        yield encoded('"' + tail)
