"""Ratios with their intervals, one below the other, on an axis where half and twice lie equally far
from 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.figures import figure, line, reach, titled, wrapped
from report.parts import Figure

TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100)
APART = 1 / 4  # of the axis: nearer ticks run into each other on a phone
WIDTH, TITLE = 30, 20  # characters of a line of a label, of the title
LINE, BETWEEN, AROUND = 16, 14, 110  # pixels


@dataclass(frozen=True)
class Series:
    """`rows`: each with told, ratio, low, high and hollow (a ring instead of a point)."""

    name: str
    colour: str
    rows: Sequence[dict[str, Any]]


def draw(series: Sequence[Series], text: str) -> Figure | None:
    """The first row on top; a ratio of 0, or without a bound, has no place on the axis. None where
    no row has one."""
    known = [row for one in series for row in one.rows if _has_place(row)]
    if not known:
        return None
    labels = [wrapped(row["told"], WIDTH) for row in known]
    lines = 1 + max(label.count("<br>") for label in labels)
    places = {id(row): place for place, row in enumerate(known)}
    one = {"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1}
    return figure(
        [_points(each, places) for each in series if any(map(_has_place, each.rows))],
        AROUND + (LINE * lines + BETWEEN) * len(known),
        showlegend=len(series) > 1,
        xaxis=_axis([row[end] for row in known for end in ("low", "high")], text),
        yaxis={
            "tickvals": list(places.values()),
            "ticktext": labels,
            "range": [len(known) - 0.5, -0.5],
        },
        shapes=[one | {"line": {"color": "$soft", "width": 1, "dash": "dot"}}],
    )


def _has_place(row: dict[str, Any]) -> bool:
    return bool(row["ratio"] and row["low"] and row["high"])


def _points(one: Series, places: dict[int, int]) -> Figure:
    rows = [row for row in one.rows if id(row) in places]
    return line(
        [row["ratio"] for row in rows],
        [places[id(row)] for row in rows],
        one.name,
        one.colour,
        mode="markers",
        marker={
            "size": 9,
            "color": one.colour,
            "symbol": ["circle-open" if row["hollow"] else "circle" for row in rows],
        },
        error_x=reach(rows, "ratio", "low", "high", one.colour),
        customdata=[wrapped(row["told"], 2 * WIDTH) for row in rows],
        hovertemplate="%{customdata}: %{x:.2f}<extra></extra>",
    )


def _axis(ends: Sequence[float], text: str) -> Figure:
    low, high = math.log(min(1.0, *ends) / 1.15), math.log(max(1.0, *ends) * 1.15)
    ticks = [1.0]
    for tick in sorted(TICKS, key=lambda t: abs(math.log(t))):
        at = math.log(tick)
        if low <= at <= high and all(abs(at - math.log(t)) >= APART * (high - low) for t in ticks):
            ticks.append(tick)
    return titled(
        wrapped(text, TITLE),
        type="log",
        tickvals=sorted(ticks),
        ticktext=[f"{tick:g}×" for tick in sorted(ticks)],
        tickangle=0,
        range=[low / math.log(10), high / math.log(10)],
    )
