"""JSON responses."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse

from tenuto.wire.text import encoded


class JsonResponse(JSONResponse):
    """Starlette's, but for text that UTF-8 cannot hold: see `tenuto.wire.text`."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return encoded(json.dumps(content, ensure_ascii=False, separators=(",", ":")))
