"""The values of the `anthropic-version` header, and what differs between them.

| | 2023-01-01 | 2023-06-01 |
|---|---|---|
| streamed text | all text so far, in each event | what is new |
| events | unnamed, but for pings | named |
| end of a stream | `data: [DONE]` | the connection's |
| in the answer | `truncated` and `exception` too | |
| in the request | `tags` too | |

The differences are written out in `request`, `response` and `sse` of this room and nowhere else.
`2026-10-21` came after the last client with a completions resource; nothing in it concerns this
endpoint, so it is answered as 2023-06-01.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

from tenuto.core.refusal import invalid
from tenuto.wire.errors import excerpt


class Version(StrEnum):
    """A dialect of the API."""

    V2023_01_01 = "2023-01-01"
    V2023_06_01 = "2023-06-01"


_SPOKEN = {
    "2023-01-01": Version.V2023_01_01,
    "2023-06-01": Version.V2023_06_01,
    "2026-10-21": Version.V2023_06_01,
}


def spoken_versions() -> list[str]:
    """The values of the header that are answered."""
    return list(_SPOKEN)


def parse_version(header: str | None) -> Version:
    """Reads the `anthropic-version` header.

    Args:
        header: Its value; of several, all joined by commas. A proxy may add one that is there
            already, so the same version twice is that version.

    Raises:
        Refusal: The header is missing, names a version that is not spoken here, or two.
    """
    if header is None:
        raise invalid("anthropic-version: header is required. Send `2023-06-01`.")
    names = list(dict.fromkeys(filter(None, map(str.strip, header.split(",")))))
    if len(names) > 1:
        both = " and ".join(f'"{excerpt(name)}"' for name in names[:2])
        raise invalid(f"anthropic-version: the header names different versions, {both}. Send one.")
    version = _SPOKEN.get(names[0]) if names else None
    if version is None:
        raise invalid(
            f'anthropic-version: "{excerpt(header)}" is not a valid version. Send `2023-06-01`.'
        )
    return version


def log_id(completion: str, version: Version) -> str:
    """The `log_id` of a completion: the id once more, or 64 hex digits of it in 2023-01-01."""
    if version is Version.V2023_01_01:
        return hashlib.sha256(completion.encode()).hexdigest()
    return completion
