"""`[api]`: how strictly the API's rules are taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Predicate


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`[api]`: how strictly the API's rules are taken.

    Attributes:
        strict_models: Refuse models that the service never offered for Text Completions, unless
            it is the one that answers.
        lenient_prompts: Complete prompts without turns as they are, as base models are used,
            instead of refusing them.
        organization_id: Sent as `anthropic-organization-id`, as the service does.
        extensions: Allow fields that the service never had: `seed`, `logprobs` and `echo`; and
            tell what each completion took.
    """

    strict_models: bool = False
    lenient_prompts: bool = False
    organization_id: Annotated[str, Predicate(str.isascii)] = "00000000-0000-0000-0000-000000000000"
    extensions: bool = False
