"""JSON objects from bytes, and JSON values as bytes."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from pydantic_core import to_json

from tenuto.core.refusal import Refusal, invalid
from tenuto.core.text import encoded


def read_object(body: bytes, most_depth: int, *, with_position: bool = True) -> dict[str, object]:
    """Parse a request body that is short enough to be parsed in one go.

    `with_position` adds the offset of an error in these bytes to its message.

    Raises:
        Refusal: The body is not valid JSON, not an object, or nested too deeply.
    """
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        where = f" at byte {error.start}" if with_position else ""
        raise _not_json(f"invalid UTF-8{where}") from None
    except RecursionError:
        raise _not_json("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _not_json(str(error) if with_position else error.msg) from None
    except ValueError:
        # Python refuses integers of thousands of digits, which take quadratic time.
        raise _not_json("a number has too many digits") from None
    if not isinstance(value, dict):
        raise invalid("The request body must be a JSON object")
    if _deeper_than(most_depth, value):
        raise invalid(f"The request body is nested more than {most_depth} levels deep")
    return value


def json_bytes(content: Any) -> bytes:
    """Return a value as JSON in UTF-8, with U+FFFD for lone surrogates."""
    try:
        return to_json(content)
    except ValueError:
        return encoded(json.dumps(content, ensure_ascii=False, separators=(",", ":")))


def _refuse_constant(name: str) -> NoReturn:
    """Refuse `NaN` and `Infinity`, which Python's parser accepts and JSON excludes."""
    raise _not_json(f"{name} is not a JSON number")


# Shared, because `json.loads` would create a decoder for every body.
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _not_json(reason: str) -> Refusal:
    return invalid(f"The request body is not valid JSON: {reason}")


def _deeper_than(levels: int, value: Any) -> bool:
    layer = [value]
    while layer and levels > 0:
        levels -= 1
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(layer)
