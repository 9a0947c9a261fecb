"""RFM: the users who have bought, by how lately, how often and for how much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from report.asked import Asked
from report.figures import COUNTS, figure, titled
from report.parts import Column, Kind, Panel, Table, View, one_view
from report.shown import NOTHING, count, money, number, part_of, share
from report.words import Words
from retention.rfm import PARTS, RfmTable, rfm
from retention.shares import with_share
from runtime.errors import UsageError

EDGES: dict[str, Callable[[float], str]] = {
    "recency": number,
    "frequency": number,
    "monetary": money,
}
MOST_CELLS = 125  # all there are of three times five scores
COLUMNS: dict[str, Kind] = {
    "segment": "text",
    "users": "count",
    "share": "share",
    "low": "share",
    "high": "share",
    "mean_value": "money",
}


def panel(asked: Asked) -> Panel | None:
    """None where nobody has bought."""
    try:
        found = rfm(asked.settings, asked.store, asked.device, cluster=asked.cluster)
    except UsageError:  # as of now there is no other
        return None
    words = asked.words
    return Panel(
        name="lifecycle-rfm",
        title=words("rfm.title"),
        about=_about(found, words),
        views=one_view(View(_told(found, words), draw(found, words), table(found, words))),
    )


def table(found: RfmTable, words: Words) -> Table:
    """The cells, the largest first; shares of the users who have bought."""
    named = pl.concat_str([pl.col(name) for name in PARTS], separator="-")
    cells = with_share(
        found.cells.with_columns(all=pl.lit(found.users)), "users", "all", pl.lit(value=True)
    ).with_columns(segment=named, mean_value=pl.col("value") / pl.col("users"))
    listed = cells.sort("users", *PARTS, descending=True).head(MOST_CELLS)
    heads = tuple(Column(words(f"column.{name}"), kind) for name, kind in COLUMNS.items())
    note = part_of(len(listed), found.cells.height, words)
    return Table(heads, tuple(listed.select(*COLUMNS).rows()), note)


def _best(found: RfmTable, name: str) -> int:
    return len(found.edges[name]) + 1


def draw(found: RfmTable, words: Words) -> dict[str, Any]:
    """Recency against frequency, whatever the money; the stronger, the more users."""
    cells = found.cells.group_by("recency", "frequency").agg(pl.col("users", "value").sum())
    held = {(row["recency"], row["frequency"]): row for row in cells.to_dicts()}
    across = range(1, _best(found, "frequency") + 1)
    up = range(1, _best(found, "recency") + 1)
    grid = [[held.get((r, f), {"users": 0, "value": 0.0}) for f in across] for r in up]
    told = [
        [
            words(
                "rfm.hover",
                users=count(cell["users"]),
                share=share(cell["users"] / found.users, words.lang),
                value=money(cell["value"] / cell["users"]) if cell["users"] else NOTHING,
            )
            for cell in row
        ]
        for row in grid
    ]
    trace = {
        "type": "heatmap",
        "x": list(across),
        "y": list(up),
        "z": [[cell["users"] for cell in row] for row in grid],
        "colorscale": "$heat",
        "xgap": 2,
        "ygap": 2,
        "customdata": told,
        "hovertemplate": "%{customdata}<extra></extra>",
        "colorbar": {"thickness": 10, **COUNTS, "outlinewidth": 0, "x": 1.01, "len": 1},
    }
    return figure(
        [trace],
        300,
        xaxis=titled(words("rfm.frequency"), dtick=1, showgrid=False),
        yaxis=titled(words("rfm.recency"), dtick=1, showgrid=False, rangemode="normal"),
    )


def _told(found: RfmTable, words: Words) -> str:
    cells = found.cells
    often = cells.filter(pl.col("frequency") == _best(found, "frequency"))
    best = often.filter(pl.col("recency") == _best(found, "recency"))
    gone = often.filter(pl.col("recency") == 1)
    users = {name: int(one["users"].sum()) for name, one in (("best", best), ("gone", gone))}
    value, best_value = (float(one["value"].sum()) for one in (cells, best))
    told = words(
        "rfm.told",
        users=count(found.users),
        best=count(users["best"]),
        best_share=share(users["best"] / found.users, words.lang),
        gone=count(users["gone"]),
        gone_share=share(users["gone"] / found.users, words.lang),
    )
    if value > 0 and users["best"]:
        told += words("rfm.told_value", share=share(best_value / value, words.lang))
    return told


def _about(found: RfmTable, words: Words) -> str:
    edges = [
        words(
            f"rfm.edges_{'learned' if found.quantiles[name] else 'stated'}",
            part=words(f"rfm.part_{name}"),
            edges=words("page.comma").join(map(EDGES[name], found.edges[name])) or NOTHING,
            top=_best(found, name),
        )
        for name in PARTS
    ]
    window = "ever" if found.window_days is None else "window"
    told = words(f"rfm.about_{window}", days=found.window_days or 0)
    return " ".join([told, *edges]) if words.lang == "en" else told + "".join(edges)
