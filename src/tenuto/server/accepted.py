"""What a request may ask for: models, beta features, extensions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime

from tenuto.engine.base import Status
from tenuto.settings import ApiSettings
from tenuto.wire.errors import InvalidRequest, NotFound, excerpt
from tenuto.wire.extensions import ExtendedRequest
from tenuto.wire.names import BETAS, MESSAGES_MODELS, TEXT_MODELS, resolve, retired_on

# How many unknown names an error lists.
_MOST_LISTED = 5

_log = logging.getLogger("tenuto.server")


def check_betas(headers: list[str], settings: ApiSettings) -> None:
    """Checks the values of the `anthropic-beta` headers, each a list with commas.

    Raises:
        InvalidRequest: With `strict_betas`, a name was never published, or is empty.
    """
    if not settings.strict_betas:
        return
    names = [name.strip() for header in headers for name in header.split(",")]
    unknown = [name for name in names if name not in BETAS]
    if unknown:
        listed = ", ".join(f"`{excerpt(name)}`" for name in unknown[:_MOST_LISTED])
        raise InvalidRequest(
            f"Unexpected value(s) {listed} for the `anthropic-beta` header. Please consult our "
            "documentation at docs.claude.com or try again without the header."
        )


def check_model(name: str, served: Sequence[str]) -> None:
    """Checks the model that a request names, where not every name is right.

    Args:
        name: The name in the request.
        served: The names of the models that answer.

    Raises:
        NotFound: There is no such model.
        InvalidRequest: It is a model of the Messages API.
    """
    if name in served or name in TEXT_MODELS:
        return
    if name in MESSAGES_MODELS:
        raise InvalidRequest(
            f'"{name}" is not supported on this API. Please use the Messages API instead.'
        )
    raise NotFound(f"model: {excerpt(name)}")


def check_extensions(asked: ExtendedRequest, status: Status) -> None:
    """Checks the fields that only an `ExtendedRequest` has.

    Args:
        asked: The request.
        status: Of the engine that answers.

    Raises:
        InvalidRequest: The engine does not know a field, or two of them don't go together.
    """
    asked.check_together()
    for name, value in (("seed", asked.seed), ("logprobs", asked.logprobs)):
        if value is not None and name not in status.extensions:
            raise InvalidRequest(f"{name}: the engine that answers cannot do that. Leave it out.")


class RetirementNotices:
    """Tells who still asks for a model that the service has retired."""

    def __init__(self) -> None:
        self._logged: dict[str, date] = {}

    def notice(self, name: str, served: str) -> str | None:
        """What the caller of a model should be told, None if there is nothing to say.

        The log gets the same, once a day for each name.
        """
        today = datetime.now(UTC).date()
        end = retired_on(resolve(name))
        if end is None or end > today:
            return None
        text = f"{name} was retired on {end:%B} {end.day}, {end.year}; {served} answers instead"
        if self._logged.get(name) != today:
            self._logged[name] = today
            _log.warning("%s", text)
        return text
