"""Notices about requests for retired models: a response header and a log line."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime

from tenuto.wire.names import resolve, retired_on

_log = logging.getLogger("tenuto.server")


class RetirementNotices:
    """The notices of one server, each logged once a day."""

    def __init__(self) -> None:
        self._logged: dict[str, date] = {}

    def notice(self, requested: str, served: str) -> str | None:
        """Return the notice for the `warning` header and log it; None for a current model."""
        end = retired_on(resolve(requested))
        if end is None:
            return None
        today = datetime.now(UTC).date()
        if end > today:
            return None
        text = (
            f"{requested} was retired on {end:%B} {end.day}, {end.year}; {served} answers instead"
        )
        if self._logged.get(requested) != today:
            self._logged[requested] = today
            _log.warning("%s", text)
        return text
