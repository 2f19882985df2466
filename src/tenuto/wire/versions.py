"""The values of the `anthropic-version` header.

`2023-06-01` is the version of every client that has a completions resource. `2026-10-21` came
after those clients; nothing in it concerns this endpoint, so it is answered alike.
"""

from __future__ import annotations

from enum import StrEnum

from tenuto.wire.errors import InvalidRequest


class Version(StrEnum):
    """A dialect of the API."""

    V2023_06_01 = "2023-06-01"


_SPOKEN = {"2023-06-01": Version.V2023_06_01, "2026-10-21": Version.V2023_06_01}


def parse_version(header: str | None) -> Version:
    """Reads the `anthropic-version` header.

    Raises:
        InvalidRequest: The header is missing, or names a version that is not spoken here.
    """
    if header is None:
        raise InvalidRequest("anthropic-version: header is required. Send `2023-06-01`.")
    version = _SPOKEN.get(header.strip())
    if version is None:
        raise InvalidRequest(
            f'anthropic-version: "{header}" is not a valid version. Send `2023-06-01`.'
        )
    return version
