"""`[api]`: strictness and extensions of the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Predicate


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`[api]`: strictness and extensions of the API.

    Attributes:
        strict_models: Refuse models that the service never offered for Text Completions, except
            the loaded model.
        lenient_prompts: Complete prompts without turns as they are, for base models, instead of
            refusing them.
        organization_id: Value of the response header `anthropic-organization-id`.
        extensions: Allow fields that the service never had, such as `seed` and `logprobs`, and
            report the token usage of each completion.
    """

    strict_models: bool = False
    lenient_prompts: bool = False
    organization_id: Annotated[str, Predicate(str.isascii)] = "00000000-0000-0000-0000-000000000000"
    extensions: bool = False
