"""Files of prompts -> JSON for the Messages API."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from tenuto.migrate.messages import PromptError, arguments_of, parsed
from tenuto.prompt.render import to_chat

STYLES: Final = ("text", "jsonl", "csv")
MOST_BYTES: Final = 64 * 1024 * 1024
_SAMPLING: Final = ("temperature", "top_p", "top_k")


@dataclass(frozen=True)
class Remark:
    """A remark on a prompt.

    Attributes:
        line: The line of the file, from 1.
        message: The reason, without text of the prompt.
        is_error: Whether the prompt is not converted.
    """

    line: int
    message: str
    is_error: bool = False


@dataclass
class Converted:
    """The result.

    Attributes:
        rows: Bodies of requests, or their parts.
        remarks: All prompts that do not convert one to one.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """The model that gets the prompts.

    Attributes:
        model: Its name; it replaces a model in the rows.
        prefill: Whether it accepts a prefill.
        keep_sampling: Whether sampling parameters of rows stay.
    """

    model: str
    prefill: bool
    keep_sampling: bool = False


def convert(text: str, style: str, target: Target, column: str = "prompt") -> Converted:
    """Convert the prompts of a file.

    Args:
        text: The file.
        style: `text` for one prompt, `jsonl` for an object or a string on each line, `csv`.
        target: The model.
        column: The field of the prompt in objects and tables.

    Raises:
        ValueError: The table has no such column.
    """
    result = Converted()
    for line, row in _rows(text, style, column, result):
        try:
            result.rows.append(_converted(line, row, column, target, result))
        except PromptError as error:
            result.remarks.append(Remark(line, str(error), is_error=True))
    return result


def _rows(
    text: str, style: str, column: str, result: Converted
) -> Iterator[tuple[int, dict[str, Any]]]:
    if style == "text":
        yield 1, {column: text}
    elif style == "csv":
        yield from _table(text, column, result)
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                data = json.loads(line, parse_constant=_refuse_constant)
            except (ValueError, RecursionError) as error:
                result.remarks.append(Remark(number, f"not JSON: {error}", is_error=True))
                continue
            yield number, data if isinstance(data, dict) else {column: data}


def _table(text: str, column: str, result: Converted) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(MOST_BYTES)
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    if column not in (reader.fieldnames or ()):
        names = ", ".join(reader.fieldnames or ()) or "none"
        raise ValueError(f"the table has no column `{column}`; its columns: {names}")
    number = reader.line_num + 1
    try:
        for row in reader:
            if set(row) <= set(reader.fieldnames or ()):
                try:
                    yield number, _of_cells(row, column)
                except ValueError as error:
                    result.remarks.append(Remark(number, str(error), is_error=True))
            else:
                reason = "the row has more cells than the first one"
                result.remarks.append(Remark(number, reason, is_error=True))
            number = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {number}: {error}") from None


def _of_cells(row: dict[str, Any], column: str) -> dict[str, Any]:
    """Return a row of a table with the types that the API has; empty cells of its fields go.

    Raises:
        ValueError: A cell has no such value.
    """
    fields: dict[str, Any] = dict(row)
    for name in (*_SAMPLING, "max_tokens_to_sample", "stop_sequences"):
        if name not in fields or name == column:
            continue
        text = fields[name].strip()
        if not text:
            del fields[name]
        elif name == "stop_sequences":
            fields[name] = _stops_of(fields[name])
        else:
            try:
                fields[name] = (float if name in ("temperature", "top_p") else int)(text)
            except ValueError:
                raise ValueError(f"`{name}` is not a number") from None
    return fields


def _stops_of(cell: str) -> list[Any]:
    """Return the stop sequences of a cell: a list in JSON, or one text."""
    try:
        stops = json.loads(cell)
    except (ValueError, RecursionError):
        return [cell]
    return stops if isinstance(stops, list) else [cell]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _converted(
    line: int, row: dict[str, Any], column: str, target: Target, result: Converted
) -> dict[str, Any]:
    prompt = row.get(column)
    if not isinstance(prompt, str):
        raise PromptError(f"`{column}` is missing, or not a string")
    chat = to_chat(parsed(prompt))
    arguments = arguments_of(chat)

    def remark(message: str) -> None:
        result.remarks.append(Remark(line, message))

    if not chat.turns:
        raise PromptError("all turns are blank")
    if chat.system:
        remark("the text before the first turn becomes `system`")
    if chat.prefill and chat.gap:
        remark("white space at the end of the prefill is removed")
    if chat.prefill and not target.prefill:
        raise PromptError(
            f"the prompt ends with a prefill, which {target.model} refuses; describe the beginning "
            "of the answer in the system text, or choose a model that accepts it"
        )
    stops = row.get("stop_sequences")
    if isinstance(stops, list) and "\n\nHuman:" in stops:
        remark("the stop sequence of the Human turn is left out; it has no use with messages")
    return {**_fields(row, column, target, remark), **arguments}


def _fields(row: dict[str, Any], column: str, target: Target, remark: Any) -> dict[str, Any]:
    """Return the other fields of a row, under their new names."""
    fields: dict[str, Any] = {}
    for name, value in row.items():
        if name == column:
            continue
        if name == "max_tokens_to_sample":
            fields["max_tokens"] = int(value) if str(value).isdecimal() else value
        elif name == "model":
            fields["model"] = target.model
        elif name == "stop_sequences" and isinstance(value, list):
            stops = [s for s in value if str(s).strip() not in ("", "Human:", "Assistant:")]
            if stops:
                fields[name] = stops
            if any(not str(stop).strip() for stop in value):
                remark("a stop sequence of white space is left out; the Messages API refuses it")
        elif name in _SAMPLING and not target.keep_sampling:
            remark(f"`{name}` is left out")
        else:
            fields[name] = value
    return fields
