"""Plotly figures as plain JSON, in one look. Colours beginning with "$" are the theme's.

Text in a figure is Plotly's small HTML, so what comes from the log passes through `plain`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from textwrap import wrap
from typing import Any

from report.parts import Figure

# Okabe and Ito 2008: told apart by those who do not see all colours, light and dark.
COLOURS = ("$c1", "$c2", "$c3", "$c4", "$c5", "$c6", "$c7")
LONGEST = 28  # characters of a name of the log in a figure
MOST_LINES = 4  # of a label that is wrapped
PERCENT = ".2~%"  # "5%", and "0.5%" where whole ones would say the same twice
# An axis of counts: '1.5k', and '0.5' where d3's SI prefix would say '500m'.
COUNTS: Figure = {
    "tickformat": "~s",
    "tickformatstops": [{"dtickrange": [None, 0.999], "value": "~f"}],
}
Values = Sequence[Any] | Figure  # or a `column`


def plain(name: Any, longest: int = LONGEST) -> str:
    """A name of the log as text of a figure, cut where it is long."""
    text = " ".join(str(name).split())
    return escape(text if len(text) <= longest else text[: longest - 1] + "…", quote=False)


def wrapped(text: str, width: int) -> str:
    """`plain` in lines of so many characters: a phone has room for more than the text."""
    return "<br>".join(
        plain(line, width) for line in wrap(text, width, max_lines=MOST_LINES, placeholder=" …")
    )


def figure(data: Sequence[Figure], height: int = 340, **layout: Any) -> Figure:
    """Margins, legend and axes as all figures have them; `layout` on top."""
    base: Figure = {
        "height": height,
        "margin": {"l": 52, "r": 20, "t": 12, "b": 44},
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


def reach(rows: Sequence[Mapping[str, Any]], name: str, low: str, high: str, colour: str) -> Figure:
    """The intervals of points as Plotly's error bars."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [row[high] - row[name] for row in rows],
        "arrayminus": [row[name] - row[low] for row in rows],
        "thickness": 1.4,
        "width": 3,
        "color": colour,
    }


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
