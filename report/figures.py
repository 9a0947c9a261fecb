"""Plotly figures as plain JSON, in one look. Colours beginning with "$" are the theme's.

Text in a figure is Plotly's small HTML, so what comes from the log passes through `plain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from report.parts import Figure

# Okabe and Ito 2008: told apart by those who do not see all colours, light and dark.
COLOURS = ("$c1", "$c2", "$c3", "$c4", "$c5", "$c6", "$c7")
LONGEST = 28  # characters of a name of the log in a figure
PERCENT = ".0%"


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


def titled(text: str, **more: Any) -> Figure:
    """An axis with a title."""
    return {"title": {"text": text, "standoff": 8}} | more


def line(x: Sequence[Any], y: Sequence[Any], name: str, colour: str, **more: Any) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "name": name,
        "line": {"color": colour, "width": 2},
    } | more


def band(x: Sequence[Any], low: Sequence[Any], high: Sequence[Any], colour: str) -> list[Figure]:
    """An interval as a soft area; where it is unknown, a gap. `colour` has a soft twin."""
    common: Figure = {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "line": {"width": 0, "color": colour},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    upper = {"y": list(high), "fill": "tonexty", "fillcolor": f"{colour}soft"}
    return [common | {"y": list(low)}, common | upper]


def bars(x: Sequence[Any], y: Sequence[Any], name: str, colour: str, **more: Any) -> Figure:
    found: Figure = {"type": "bar", "x": list(x), "y": list(y), "name": name}
    return found | {"marker": {"color": colour}} | more


def heat(x: Sequence[Any], y: Sequence[Any], z: Sequence[Sequence[Any]], **more: Any) -> Figure:
    """Shares by colour from light to strong; what is unknown stays empty."""
    return {
        "type": "heatmap",
        "x": list(x),
        "y": list(y),
        "z": [list(row) for row in z],
        "colorscale": "$heat",
        "xgap": 1,
        "ygap": 1,
        "hoverongaps": False,
        "colorbar": {"thickness": 10, "tickformat": PERCENT, "outlinewidth": 0, "x": 1.01},
    } | more


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
