"""State of a response while it is read, and how a kind of upstream reads it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tenuto.core.job import Finish, Usage
from tenuto.engine.upstream.failures import UpstreamError
from tenuto.engine.upstream.json_text import well_formed
from tenuto.prompt.render import Continuation

_MAX_NAME: Final = 256


@dataclass(slots=True)
class Reading:
    """What is known of an answer so far. The reader of an API writes it.

    Attributes:
        begun: Whether there will be an answer.
        model: The model that answers, if the upstream says so.
        texts: Text that came since the last piece, one entry for each event.
        finish: Why the text ends, once it does.
        done: Whether nothing more comes.
        stop: The stop sequence that ended it, if the server took it away. It is put back, so
            that what matches them above finds it, as in all other answers.
        failure: Why the answer breaks off.
        usage: What the server says that it took.
        pings: How many pings came.
    """

    begun: bool = False
    model: str | None = None
    texts: list[str] = field(default_factory=list)
    finish: Finish | None = None
    done: bool = False
    stop: str = ""
    failure: UpstreamError | None = None
    usage: Usage | None = None
    pings: int = 0

    def begin(self, model: object) -> None:
        """Note that there is an answer, and whose, if that is said."""
        self.begun = True
        if self.model is None and isinstance(model, str) and model:
            self.model = well_formed(model[:_MAX_NAME])


def count_in(usage: object, name: str) -> int | None:
    """A number of tokens that a server reports; None without one that makes sense."""
    value = usage.get(name) if isinstance(usage, dict) else None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < 2**53 else None


Read = Callable[[str, dict[str, Any], Reading], None]
"""Write down what an event says, or a whole answer, which is one event without a name."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer is read, and what of it is passed on.

    Attributes:
        read: Reads the JSON objects of its API.
        continuation: What makes a completion of the answer's text; None if it is one.
        model: The name of the model that answers if the upstream does not say.
        warnings: What was changed or left out on the way there.
        plain: Whether nobody sees the text before its end.
        awaits_usage: Whether its usage may come after its end.
    """

    read: Read
    continuation: Continuation | None = None
    model: str | None = None
    warnings: tuple[str, ...] = ()
    plain: bool = False
    awaits_usage: bool = False
