"""Compile chat templates: programs in Jinja that come with a model file, run in a sandbox.

They get the environment of the `transformers` library: the functions `raise_exception` and
`strftime_now`, the filter `tojson` without HTML escapes, `break` and `continue`, and the tag
`generation`, which changes nothing here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tenuto.core.text import well_formed


class TemplateRefused(ValueError):
    """A template that is invalid, or refuses these messages. The message is one line."""


def compile_template(source: str, strftime_now: Callable[[str], str]) -> Any:
    """Return the Jinja template, in which `strftime_now` formats the time.

    Raises:
        TemplateRefused: It is invalid.
    """
    # Late, because most models are base models, and the import is slow.
    import jinja2

    try:
        return _environment(strftime_now).from_string(source)
    except (jinja2.TemplateError, RecursionError) as error:
        raise TemplateRefused(f"not a valid template: {one_line(error)}") from None


def _environment(strftime_now: Callable[[str], str]) -> Any:
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}`, which marks the assistant's text for training."""

        tags = {"generation"}  # noqa: RUF012  # as the library declares it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    def raise_exception(message: object) -> None:
        raise TemplateError(str(message))

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = lambda value, ensure_ascii=False, **options: json.dumps(
        value, ensure_ascii=ensure_ascii, **options
    )
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = strftime_now
    return environment


def one_line(error: Exception) -> str:
    """Return the message of an error as one line of valid text."""
    return well_formed(" ".join(str(error).split())) or type(error).__name__
