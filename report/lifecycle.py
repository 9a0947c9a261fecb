"""Lifecycle over time: who is new, stays, comes back or falls silent; how active they are, and
RFM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from events.calendar import PERIODS, Period
from report import activity, rfm
from report.asked import Asked
from report.cohorts import ordered
from report.figures import COUNTS, bars, column, figure
from report.parts import Column, Key, Panel, Section, Table, View
from report.shown import count, part_of
from report.words import Words
from retention.lifecycle import lifecycle

MOST: Mapping[Period, int] = {"day": 180, "week": 156, "month": 120}
COLOURS = {"new": "$c2", "returning": "$c1", "resurrected": "$c3", "dormant": "$c4"}

Rows = list[dict[str, Any]]


def section(asked: Asked) -> Section:
    words = asked.words
    views: dict[Key, View] = {}
    for period in ordered(PERIODS, asked.period):
        views[period,] = view(gather(asked, period), period, words)
    panel = Panel(
        name="lifecycle-states",
        title=words("lifecycle.states"),
        about=words("lifecycle.states_about"),
        views=views,
        filters=("period",),
        along=True,
    )
    bought = rfm.panel(asked)
    panels = [panel, activity.panel(asked, MOST), *([bought] if bought else [])]
    return Section(
        name="lifecycle",
        title=words("lifecycle.title"),
        about=words("lifecycle.about"),
        panels=tuple(panels),
        filters=(activity.choice(words),),
        lines=() if bought else (words("rfm.nobody"),),
    )


def gather(asked: Asked, period: Period) -> Rows:
    """One row a period: period, active, new, returning, resurrected, dormant, complete."""
    found = lifecycle(
        asked.settings, asked.store, asked.device, period, cluster=asked.cluster
    ).to_json()
    rows: Rows = found["rows"]
    return rows


def view(every: Rows, period: Period, words: Words) -> View:
    rows = every[-MOST[period] :]
    names = ("period", "active", *COLOURS)
    columns = tuple(
        Column(words(f"column.{name}"), "date" if name == "period" else "count") for name in names
    )
    body = tuple(tuple(row[name] for name in names) for row in rows)
    note = part_of(len(rows), len(every), words, "page.last_of")
    return View(_told(rows, period, words), draw(rows, words), Table(columns, body, note))


def draw(rows: Rows, words: Words) -> dict[str, Any]:
    """New, returning and resurrected above the line, dormant below; the period that has not
    ended is paler and has no dormant users yet."""
    pale = [1.0 if row["complete"] else 0.45 for row in rows]
    traces = []
    for place, (state, colour) in enumerate(COLOURS.items(), start=2):
        counts = [row[state] for row in rows]
        traces.append(
            bars(
                column(0),
                [None if n is None else -n for n in counts]
                if state == "dormant"
                else column(place),
                words(f"column.{state}"),
                colour,
                customdata=column(place),
                marker={"color": colour, "opacity": pale},
                hovertemplate="%{x|%Y-%m-%d}: %{customdata:,}<extra>%{fullData.name}</extra>",
            )
        )
    return figure(
        traces,
        360,
        barmode="relative",
        bargap=0.08,
        xaxis={"type": "date"},
        yaxis=COUNTS,
    )


def _told(rows: Rows, period: Period, words: Words) -> str:
    done = [row for row in rows if row["complete"]]
    if not done:
        return words("lifecycle.none_complete")
    last = done[-1]
    counts = {name: count(last[name] or 0) for name in ("active", *COLOURS)}
    return words(f"lifecycle.told_{period}", period=last["period"], **counts)
