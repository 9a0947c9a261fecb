"""Activity in four dimensions by period: how often, how much, how varied, who came again."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from events.calendar import PERIODS, Period
from report.asked import Asked
from report.cohorts import ordered
from report.figures import PERCENT, column, figure, line
from report.parts import Column, Filter, Key, Kind, Panel, Table, View
from report.shown import count, fixed, part_of, share
from report.words import Words
from retention.activity import DIMENSIONS, SPREAD, activity

SPREADS = {"mean": "$c1", "median": "$c2", "p90": "$soft"}

Rows = list[dict[str, Any]]


def choice(words: Words) -> Filter:
    options = tuple((name, words(f"activity.{name}")) for name in DIMENSIONS)
    return Filter("dimension", words("filter.dimension"), options)


def panel(asked: Asked, most: Mapping[Period, int]) -> Panel:
    words = asked.words
    rows = {period: gather(asked, period) for period in ordered(PERIODS, asked.period)}
    views: dict[Key, View] = {
        (period, name): view(rows[period], most[period], period, name, words)
        for period, name in product(rows, DIMENSIONS)
    }
    return Panel(
        name="lifecycle-activity",
        title=words("activity.title"),
        about=words("activity.about", minutes=asked.settings.features.session_gap_minutes),
        views=views,
        filters=("period", "dimension"),
        along=True,
    )


def gather(asked: Asked, period: Period) -> Rows:
    """One row a period, as `retention.activity.ActivityTable` has it. One that has not ended is
    left out: it would be drawn as a fall."""
    found = activity(asked.settings, asked.store, asked.device, period, cluster=asked.cluster)
    return [row for row in found.to_json()["rows"] if row["complete"]]


def view(every: Rows, most: int, period: Period, name: str, words: Words) -> View:
    """Of the last periods, `most` of them."""
    done = every[-most:]
    kind: Kind = "number" if name in SPREAD else "share"
    columns: list[tuple[str, Kind]] = [("period", "date"), ("users", "count")]
    columns += [(one, kind) for one in (SPREADS if name in SPREAD else ("share", "low", "high"))]
    heads = tuple(Column(words(f"column.{one}"), kind) for one, kind in columns)
    body = tuple((row["period"], row["users"], *_figures(row, name)) for row in done)
    note = part_of(len(done), len(every), words, "page.last_of")
    known = any(_figures(row, name)[0] is not None for row in done)
    drawn = draw(name, words) if known else None
    return View(_told(done, period, name, words), drawn, Table(heads, body, note))


def _figures(row: dict[str, Any], name: str) -> tuple[float | None, ...]:
    if name in SPREAD:
        return tuple(row[f"{name}_{what}"] for what in SPREADS)
    return row["renewal"], row["renewal_low"], row["renewal_high"]


def draw(name: str, words: Words) -> dict[str, Any]:
    """Lines of the table's columns: three of a spread, or a share within its band."""
    if name in SPREAD:
        traces = [
            line(
                column(0),
                column(place),
                words(f"column.{what}"),
                colour,
                hovertemplate="%{x|%Y-%m-%d}: %{y:.3~f}<extra>%{fullData.name}</extra>",
            )
            for place, (what, colour) in enumerate(SPREADS.items(), start=2)
        ]
        return figure(traces, 300, xaxis={"type": "date"})
    edge = {"line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    called = words("activity.renewal")
    traces = [
        line(column(0), column(3), called, "$c1", **edge),
        line(column(0), column(4), called, "$c1", **edge, fill="tonexty", fillcolor="$c1soft"),
        line(
            column(0),
            column(2),
            called,
            "$c1",
            showlegend=False,
            hovertemplate="%{x|%Y-%m-%d}: %{y:.1%}<extra></extra>",
        ),
    ]
    return figure(traces, 300, xaxis={"type": "date"}, yaxis={"tickformat": PERCENT})


def _told(done: Rows, period: Period, name: str, words: Words) -> str:
    known = [row for row in done if _figures(row, name)[0] is not None]
    if not known:
        return words("activity.no_times" if done and name == "depth" else "activity.none_complete")
    last = known[-1]
    when = words(f"activity.when_{period}", period=last["period"])
    if name in SPREAD:
        numbers = {
            what: fixed(value, 1).removesuffix(".0")
            for what, value in zip(SPREADS, _figures(last, name), strict=True)
            if value is not None
        }
        return when + words(f"activity.told_{name}", users=count(last["users"]), **numbers)
    told = zip(("share", "low", "high"), _figures(last, name), strict=True)
    shares = {what: share(value, words.lang) for what, value in told}
    return when + words("activity.told_renewal", **shares)
