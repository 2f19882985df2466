"""What all drivers written in Python share: how they are told cases, and how they answer."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any


def run(*cases: Callable[..., Any]) -> None:
    """Answers lines of `[case, url, arguments]` until there are no more."""
    by_name = {case.__name__: case for case in cases}
    answers, sys.stdout = sys.stdout, sys.stderr  # Some libraries print.
    for line in sys.stdin:
        name, url, arguments = json.loads(line)
        try:
            result = by_name[name](url, **arguments)
        except Exception:
            result = {"broke": traceback.format_exc()}
        print(json.dumps(result), file=answers, flush=True)
