"""What a request may ask for: models, beta features, extensions."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime

from tenuto.core.refusal import invalid
from tenuto.settings import ApiSettings
from tenuto.wire.errors import excerpt
from tenuto.wire.names import BETAS, resolve, retired_on

# How many unknown names an error lists.
_MOST_LISTED = 5

_log = logging.getLogger("tenuto.server")


def check_betas(headers: list[str], settings: ApiSettings) -> None:
    """Checks the values of the `anthropic-beta` headers, each a list with commas.

    Raises:
        Refusal: With `strict_betas`, a name was never published, or is empty.
    """
    if not settings.strict_betas:
        return
    names = [name.strip() for header in headers for name in header.split(",")]
    unknown = [name for name in names if name not in BETAS]
    if unknown:
        listed = ", ".join(f"`{excerpt(name)}`" for name in unknown[:_MOST_LISTED])
        raise invalid(
            f"Unexpected value(s) {listed} for the `anthropic-beta` header. Please consult our "
            "documentation at docs.claude.com or try again without the header."
        )


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
