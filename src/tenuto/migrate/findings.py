"""Findings of a scan: places in files that use the Text Completions API."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Hardness(StrEnum):
    """The work that a finding needs."""

    MECHANICAL = "mechanical"
    """`tenuto migrate fix` rewrites the place without a loss."""
    REVIEW = "review"
    """`tenuto migrate fix --unsafe` rewrites the place, or it needs one look."""
    BY_HAND = "by-hand"
    """A person has to change the place."""


MESSAGES: Final = "`/v1/messages` with `messages` and `max_tokens`; the text is in `content`"
BEDROCK_MESSAGES: Final = (
    "`anthropic_version`, `messages` and `max_tokens`; the text is in `content`"
)
DOUBLES: Final = "change the double together with the code that it tests"
"""Remedies that several languages share."""

TITLES: Final = {
    "TC001": "file that cannot be read",
    "TC101": "completions call",
    "TC102": "call of the SDK before 0.3",
    "TC103": "completions method as a value",
    "TC104": "prompt constant",
    "TC105": "name of the old SDK",
    "TC106": "arguments of another API",
    "TC107": "token count without a request",
    "TC108": "sampling parameter",
    "TC109": "model name",
    "TC110": "value that the Messages API refuses",
    "TC111": "arguments that are unpacked",
    "TC201": "prompt without turns",
    "TC202": "prompt that is built at run time",
    "TC203": "prefill",
    "TC204": "turn marks in a message",
    "TC301": "result that leaves the function",
    "TC302": "stream",
    "TC401": "HTTP request",
    "TC402": "Bedrock body",
    "TC403": "configuration",
    "TC404": "LangChain",
    "TC405": "LlamaIndex",
    "TC406": "LiteLLM",
    "TC407": "JavaScript SDK",
    "TC408": "Go client",
    "TC409": "Java client",
    "TC410": "Ruby client",
    "TC411": "old version of the SDK",
    "TC412": "client of another language",
    "TC501": "test double",
    "TC502": "recorded response",
}
"""The codes: 1xx calls, 2xx prompts, 3xx results, 4xx outside of the Python SDK, 5xx tests."""


@dataclass(frozen=True, order=True)
class Finding:
    """A place that uses the old API.

    Attributes:
        path: The file, as named or found.
        line: From 1; of the cell's source in a notebook.
        column: From 1, in characters.
        code: A key of `TITLES`.
        hardness: The work.
        message: The reason, without texts of prompts and without keys.
        remedy: The replacement.
        cell: Number of the cell in a notebook, from 1; 0 in other files.
    """

    path: str
    cell: int
    line: int
    column: int
    code: str
    hardness: Hardness
    message: str
    remedy: str
