"""What the page's script reads: figures, tables and counts as one JSON object.

`panels`: by name, each with its filters and its views by their values joined with "|"; a view
has `told`, `figure`, `columns`, `rows` and `note`. `pools`: by section and the same key.
`filters`: of each section, as (name, values), the first the default. `words`: those the script
puts together itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from events.calendar import PERIODS
from report.parts import Panel, Section, View
from report.words import Words

DIGITS = 6  # of a small number that is no count
LARGE, CENTS = 1000, 2
BETWEEN = "|"


def document(sections: Sequence[Section], words: Words) -> dict[str, Any]:
    return {
        "lang": words.lang,
        "words": words.within("script") | _pooled(words),
        "panels": {p.name: _panel(p, section.name) for section in sections for p in section.panels},
        "pools": {
            s.name: {BETWEEN.join(key): asdict(pool) for key, pool in s.pools.items()}
            for s in sections
            if s.pools
        },
    }


def _pooled(words: Words) -> dict[str, str]:
    """The words of what the page sums itself."""
    names = ["curve_told", "curve_none", "heat_told", "heat_told_one", "heat_none", "earlier"]
    names += [f"axis_{period}" for period in PERIODS]
    return {name: words(f"cohorts.{name}") for name in names}


def _panel(panel: Panel, section: str) -> dict[str, Any]:
    return {
        "section": section,
        "filters": list(panel.filters),
        "along": panel.along,
        "pooled": panel.pooled,
        "views": {}
        if panel.pooled
        else {BETWEEN.join(key): _view(view) for key, view in panel.views.items()},
        **({"columns": _columns(next(iter(panel.views.values())))} if panel.pooled else {}),
    }


def _columns(view: View) -> list[list[str]]:
    return [[column.title, column.kind] for column in view.table.columns]


def _view(view: View) -> dict[str, Any]:
    return {
        "told": view.told,
        "figure": plainly(view.figure),
        "columns": _columns(view),
        "rows": plainly(view.table.rows),
        "note": view.table.note,
    }


def plainly(value: Any) -> Any:
    """Numbers with as many digits as are looked at; what JSON cannot hold becomes null."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        short = round(value, CENTS) if abs(value) >= LARGE else float(f"{value:.{DIGITS}g}")
        return int(short) if short.is_integer() and abs(short) < 2**53 else short
    if isinstance(value, dict):
        return {key: plainly(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plainly(one) for one in value]
    return value
