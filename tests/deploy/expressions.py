"""The files for Prometheus and Grafana, and the expressions in them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.deploy.programs import promtool

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "tenuto.json"


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    content: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return content


def panels() -> list[dict[str, Any]]:
    """Return all panels of the dashboard except the titles of rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def dashboard_expressions(interval: str = "1m") -> list[str]:
    """Return the expressions of all panels, with Grafana's variables replaced.

    Args:
        interval: The range of rates.
    """
    return [
        target["expr"].replace("$__rate_interval", interval).replace("$instance", ".*")
        for panel in panels()
        for target in panel["targets"]
    ]


def alert_expressions() -> list[str]:
    """Return the expressions of all alerts. A library for YAML is not a dependency."""
    text = ALERTS.read_text("utf-8")
    found = re.findall(r"^ +expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)", text, re.M)
    assert len(found) == text.count("alert:") > 0
    return [" ".join((block or line).split()) for block, line in found]


def checked_by_promtool(*arguments: str) -> str:
    """Run `promtool check` or `promtool test`, and return the errors; "" if all is well."""
    done = subprocess.run([promtool(), *arguments], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr
