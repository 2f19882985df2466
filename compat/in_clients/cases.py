"""Shared code of the Python drivers: reading cases, and writing results."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any


def run(*cases: Callable[..., Any]) -> None:
    """Answer lines of `[case, url, arguments]` until the input ends."""
    by_name = {case.__name__: case for case in cases}
    answers, sys.stdout = sys.stdout, sys.stderr  # Some libraries print.
    for line in sys.stdin:
        name, url, arguments = json.loads(line)
        try:
            result = by_name[name](url, **arguments)
        except Exception:
            result = {"broke": traceback.format_exc()}
        print(json.dumps(result), file=answers, flush=True)
