"""Answer a prompt with a server of the API."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from tenuto.cli import output
from tenuto.cli.answer import Answer
from tenuto.cli.failure import Failure
from tenuto.client.client import Client
from tenuto.client.errors import APIError, APIStatusError
from tenuto.settings.upstreams import without_password
from tenuto.wire.completions.request import check_fields
from tenuto.wire.errors import refusal_of, status_of


def answer_by_server(
    base_url: str, fields: Mapping[str, object], answer: Answer, *, seed: int | None
) -> None:
    """Send a prompt to a server, and print its answer. See `answer_embedded`.

    Raises:
        Refusal: A field is invalid.
        Failure: The server is unreachable, or its answer is an error.
    """
    shown = without_password(base_url)
    answer.spinner.text = f"Waiting for {shown}…"
    try:
        # Checked before the request, for a faster error.
        params: Any = check_fields(fields).model_dump(exclude_unset=True)
        if seed is not None:
            params["extra_body"] = {"seed": seed}
        with warnings.catch_warnings(), answer.spinner:
            # About the retired names of models.
            warnings.simplefilter("ignore", DeprecationWarning)
            # Without retries, because a person is waiting.
            with Client(base_url=base_url, max_retries=0) as client:
                if answer.json:
                    answer.print_json(client.completions.create(**params).to_dict())
                else:
                    _print_stream(client, params, answer, shown)
    except APIStatusError as error:
        refusal = refusal_of(error.status_code, error.body)
        message = refusal.message
        unknown = "seed: Extra inputs are not permitted"
        if seed is not None and message.startswith(unknown):
            remedy = "leave --seed out, or set `extensions = true` in [api] of that server"
            message = f"{unknown}; {remedy}"
        code = 2 if status_of(refusal.kind) in (400, 422) else 1
        raise Failure(f"{shown}: {message}", code) from None
    except APIError as error:
        raise Failure(error.message) from None
    except (ValueError, ImportError) as error:
        # The address, the key, or a proxy variable is invalid.
        raise Failure(_without_secret(error, base_url), 2) from None


def _print_stream(client: Client, params: Any, answer: Answer, shown: str) -> None:
    with client.completions.create(**params, stream=True) as stream:
        for event in stream:
            # The client does not check responses: a field may be missing.
            answer.name(f"{getattr(event, 'model', None) or 'a model'} at {shown}")
            output.write(answer.trimmed(getattr(event, "completion", None) or ""))
            answer.cut |= getattr(event, "stop_reason", None) == "max_tokens"
    output.line()


def _without_secret(error: Exception, base_url: str) -> str:
    if isinstance(error, UnicodeError):
        return "the key, the address or a header in the environment is not ASCII"
    return str(error).replace(base_url, without_password(base_url))
