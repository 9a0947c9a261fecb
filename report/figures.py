"""Plotly figures as plain JSON, in one look. Colours beginning with "$" are the theme's.

Text in a figure is Plotly's small HTML, so what comes from the log passes through `plain`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from report.parts import Figure

# Okabe and Ito 2008: told apart by those who do not see all colours, light and dark.
COLOURS = ("$c1", "$c2", "$c3", "$c4", "$c5", "$c6", "$c7")
LONGEST = 28  # characters of a name of the log in a figure
PERCENT = ".0%"
RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100)
MOST_TICKS = 7
Values = Sequence[Any] | Figure  # or a `column`


def plain(name: Any, longest: int = LONGEST) -> str:
    """A name of the log as text of a figure, cut where it is long."""
    text = " ".join(str(name).split())
    return escape(text if len(text) <= longest else text[: longest - 1] + "…", quote=False)


def figure(data: Sequence[Figure], height: int = 340, **layout: Any) -> Figure:
    """Margins, legend and axes as all figures have them; `layout` on top."""
    base: Figure = {
        "height": height,
        "margin": {"l": 52, "r": 12, "t": 12, "b": 44},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "hovermode": "closest",
        "bargap": 0.18,
        "xaxis": {"automargin": True},
        "yaxis": {"automargin": True, "rangemode": "tozero"},
    }
    for key, value in layout.items():
        held = base.get(key)
        base[key] = held | value if isinstance(held, dict) and isinstance(value, dict) else value
    return {"data": list(data), "layout": base}


def column(place: int) -> Figure:
    """A column of the view's table, in the place of its values: the page holds them once."""
    return {"column": place}


def times(values: Sequence[float], text: str) -> Figure:
    """An axis of ratios on which half and twice lie equally far from 1."""
    low, high = min((1.0, *values)), max((1.0, *values))
    inside = [tick for tick in RATIOS if low / 1.1 <= tick <= high * 1.1 and tick != 1]
    ticks = sorted([*inside[:: len(inside) // MOST_TICKS + 1], 1])
    return titled(
        text,
        type="log",
        tickvals=ticks,
        ticktext=[f"{tick:g}×" for tick in ticks],
        range=[math.log10(low / 1.15), math.log10(high * 1.15)],
    )


def titled(text: str, **more: Any) -> Figure:
    """An axis with a title."""
    return {"title": {"text": text, "standoff": 8}} | more


def line(x: Values, y: Values, name: str, colour: str, **more: Any) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "name": name,
        "line": {"color": colour, "width": 2},
    } | more


def bars(x: Values, y: Values, name: str, colour: str, **more: Any) -> Figure:
    found: Figure = {"type": "bar", "x": x, "y": y, "name": name}
    return found | {"marker": {"color": colour}} | more


def sankey(
    labels: Sequence[str],
    colours: Sequence[str],
    links: Sequence[tuple[int, int, float]],
    told: Sequence[str],
    link_colours: Sequence[str] | None = None,
    **node: Any,
) -> Figure:
    """Flows between nodes; `told`: what is said of each link on hover."""
    return {
        "type": "sankey",
        "arrangement": "snap",
        "node": {
            "label": list(labels),
            "color": list(colours),
            "pad": 14,
            "thickness": 14,
            "line": {"width": 0},
            "hovertemplate": "%{label}: %{value:,}<extra></extra>",
        }
        | node,
        "link": {
            "source": [a for a, _, _ in links],
            "target": [b for _, b, _ in links],
            "value": [n for _, _, n in links],
            "customdata": list(told),
            "color": list(link_colours) if link_colours else "$link",
            "hovertemplate": "%{customdata}<extra></extra>",
        },
    }
