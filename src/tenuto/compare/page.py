"""The report as one HTML page, which loads nothing from anywhere.

Everything from the file of comparisons is text: escaped here, or put into the page by
`page.js` as text. The policy of the page allows only its own script and style.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from tenuto.compare.comparison import Purpose
from tenuto.compare.figures_text import rows_of
from tenuto.compare.rows import Row, Run, Side
from tenuto.compare.summary import RouteFigures, key_of, summarise
from tenuto.compare.verdict import Verdict, verdict

MOST_ROWS: Final = 500
"""Comparisons that the page shows: failures, broken JSON and the least alike, in this order."""
MOST_SAMPLED: Final = 100
"""Comparisons of a kind that these may lack, equal ones and noise, which it shows at least."""
MOST_TEXT: Final = 20_000
"""Characters of each text that it shows."""


def page(run: Run, title: str) -> str:
    """Return the page of a run."""
    routes = summarise(run.rows)
    shown = _shown(run.rows)
    names = [(route.requested, route.present, route.candidate) for route in routes]
    data = {
        "routes": [f"{requested}: {a} → {b}" for requested, a, b in names],
        "rows": [_data(row, names) for row in shown],
        "total": len(run.rows),
        "totals": [sum(map(of_kind, run.rows)) for of_kind in _KINDS],
    }
    style, script = _resource("page.css"), _resource("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{escape(title)}</title><style>{style}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f"<p>{len(run.rows):,} comparisons{_invalid(run)}.</p>",
            *(_section(route, verdict(route)) for route in routes),
            '<h2>Comparisons</h2><div id="filters"></div><div id="rows"></div>',
            "<noscript>The comparisons need JavaScript; the verdicts above do not.</noscript>",
            f'<script type="application/json" id="data">{_json(data)}</script>',
            f"<script>{script}</script></body></html>",
            "",
        ]
    )


def _invalid(run: Run) -> str:
    return f"; {run.invalid:,} lines of the file are not comparisons" if run.invalid else ""


def _section(route: RouteFigures, of_route: Verdict) -> str:
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in of_route.reasons)
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(a)}</td><td>{escape(b)}</td></tr>"
        for name, a, b in rows_of(route)
    )
    warnings = "".join(
        f"<li>{escape(text)} ({count:,})</li>" for text, count in route.warnings.most_common(20)
    )
    return (
        f'<section class="{of_route.level}"><h2>{escape(route.requested)}</h2>'
        f'<p class="verdict">{escape(of_route.headline)}</p><ul>{reasons}</ul>'
        f"<table><tr><th></th><th>{escape(route.present)}</th>"
        f"<th>{escape(route.candidate)}</th></tr>{cells}</table>"
        + (f"<p>Changed in requests:</p><ul>{warnings}</ul>" if warnings else "")
        + "</section>"
    )


def _shown(rows: Sequence[Row]) -> list[Row]:
    def rank(row: Row) -> tuple[bool, bool, float]:
        return not row.b.error, not _breaks_json(row), _similarity(row)

    ordered = sorted(rows, key=rank)
    shown, rest = ordered[:MOST_ROWS], ordered[MOST_ROWS:]
    for of_kind in (_is_equal, _is_noise):
        missing = MOST_SAMPLED - sum(map(of_kind, shown))
        found = [row for row in rest if of_kind(row)]
        step = max(1, len(found) // max(1, missing))
        shown += found[::step][: max(0, missing)]
    return sorted(shown, key=rank)


def _similarity(row: Row) -> float:
    return 2.0 if row.similarity is None else row.similarity


def _is_noise(row: Row) -> bool:
    return row.purpose is Purpose.NOISE


def _is_equal(row: Row) -> bool:
    return row.exact and not _is_noise(row)


def _differs(row: Row) -> bool:
    return row.similarity is not None and not row.exact and not _is_noise(row)


def _breaks_json(row: Row) -> bool:
    return row.a.json and not row.b.json and row.similarity is not None


def _failed(row: Row) -> bool:
    return bool(row.b.error)


# The kinds of `page.js`, in its order; it has one more in front, all.
_KINDS: Final = (_differs, _is_equal, _failed, _breaks_json, _is_noise)


def _data(row: Row, names: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    key = key_of(row)
    texts = row.texts
    return {
        "id": row.id,
        "at": row.at,
        "noise": _is_noise(row),
        "route": names.index(key) if key in names else -1,
        "requested": row.requested,
        "a": _side(row.a),
        "b": _side(row.b),
        "exact": row.exact,
        "similarity": row.similarity,
        "json": _breaks_json(row),
        "texts": None
        if texts is None
        else [text[:MOST_TEXT] for text in (texts.prompt, texts.a, texts.b)],
    }


def _side(side: Side) -> dict[str, Any]:
    return {"name": side.name, "end": side.end, "error": side.error, "ms": side.total_ms}


def _json(value: object) -> str:
    """Return JSON that no part of can end the script element."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _resource(name: str) -> str:
    return files("tenuto.compare").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
