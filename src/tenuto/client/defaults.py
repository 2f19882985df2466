"""Default values of a client's options."""

from __future__ import annotations

from typing import Final

import httpx2
from httpx2 import Timeout as Timeout

DEFAULT_BASE_URL: Final = "http://127.0.0.1:8000"
"""Default address of `tenuto serve`."""

DEFAULT_TIMEOUT: Final = httpx2.Timeout(600.0, connect=5.0)
DEFAULT_MAX_RETRIES: Final = 2
DEFAULT_CONNECTION_LIMITS: Final = httpx2.Limits(
    max_connections=1000, max_keepalive_connections=100
)
