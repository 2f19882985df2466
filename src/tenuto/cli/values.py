"""Convert the plain values of options without pydantic.

typer converts every value with it, and its import takes longer than all other work of a command.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")

Coerce: TypeAlias = Callable[..., Any]


class PlainValues:
    """Converter of one option's values.

    Args:
        annotation: The option's type.
        coerce: Returns the converter of typer, for values that are invalid or not plain.
    """

    def __init__(self, annotation: Any, coerce: Callable[[], Coerce]) -> None:
        self._annotation = annotation
        self._coerce = coerce

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value in the option's type; None or () if the option is absent."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if type(value) is self._annotation:
            return value
        if self._annotation is int and _matches(_WHOLE, value):
            return int(value)
        if self._annotation is float and _matches(_NUMBER, value):
            return float(value)
        if self._annotation == list[str] and isinstance(value, list | tuple):
            # Every item is a text, as it comes from the command line.
            return list(value)
        return self._coerce()(value, param=param, ctx=ctx)


def convert_plainly(param: Any) -> None:
    """Replace the converter of an option or argument of typer."""
    changed = vars(param)
    full = param.get_runtime_param
    if "get_runtime_param" not in changed:
        values = PlainValues(param.type_descriptor.annotation, lambda: full().coerce)
        changed["get_runtime_param"] = lambda: values


def _matches(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None
