"""Funnels: how many go from step to step, and where they drop."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from report.asked import Asked
from report.figures import bars, figure, plain
from report.parts import Column, Filter, Kind, Panel, Section, Table, View
from report.proposed import proposed
from report.shown import count, days, share
from report.words import Words
from retention.funnel import funnel
from runtime.settings_funnel import Funnel

KINDS: dict[str, Kind] = {
    "step": "count",
    "event": "name",
    "users": "count",
    "share": "share",
    "low": "share",
    "high": "share",
    "share_of_previous": "share",
    "median_seconds": "duration",
    "still_open": "count",
}

Rows = list[dict[str, Any]]


def section(asked: Asked) -> Section:
    words = asked.words
    asked_for = asked.funnels or asked.settings.funnel
    drawn = asked_for or (proposed(asked),)
    views = {(_name(one, n, words),): view(one, asked) for n, one in enumerate(drawn)}
    panel = Panel(
        name="funnel-steps",
        title=words("funnel.steps"),
        about=words("funnel.steps_about"),
        views=views,
        filters=("funnel",),
    )
    options = tuple((key[0], key[0]) for key in views)
    return Section(
        name="funnel",
        title=words("funnel.title"),
        about=words("funnel.about") if asked_for else words("funnel.proposed"),
        panels=(panel,),
        filters=(Filter("funnel", words("filter.funnel"), options),) if len(options) > 1 else (),
    )


def _name(one: Funnel, place: int, words: Words) -> str:
    return one.name or words("funnel.unnamed", n=place + 1)


def gather(one: Funnel, asked: Asked) -> Rows:
    """One row a step, as `retention.funnel.Funnel` has them."""
    found = funnel(
        asked.settings, asked.store, asked.device, one.steps, timedelta(days=one.within_days)
    )
    rows: Rows = found.to_json()["rows"]
    return rows


def view(one: Funnel, asked: Asked) -> View:
    words, rows = asked.words, gather(one, asked)
    columns = tuple(Column(words(f"column.{name}"), kind) for name, kind in KINDS.items())
    body = tuple(tuple(row[name] for name in KINDS) for row in rows)
    return View(_told(one, rows, words), draw(rows, words), Table(columns, body))


def draw(rows: Rows, words: Words) -> dict[str, Any]:
    """A bar a step, its share written on it; lighter for those whose window has not ended."""
    labels = [f"{row['step']}. {plain(row['event'])}" for row in rows]
    texts = [f"{count(row['users'])} · {share(row['share'], words.lang)}" for row in rows]
    main = bars(
        [row["users"] for row in rows],
        labels,
        words("column.users"),
        "$c1",
        orientation="h",
        text=texts,
        textposition="auto",
        insidetextanchor="start",
        cliponaxis=False,
        customdata=[_hover(row, words) for row in rows],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )
    return figure(
        [main],
        90 + 56 * len(rows),
        showlegend=False,
        yaxis={"autorange": "reversed", "type": "category"},
        xaxis={"tickformat": "~s", "rangemode": "tozero"},
        margin={"r": 24},
    )


def _hover(row: dict[str, Any], words: Words) -> str:
    found = words("funnel.hover", users=count(row["users"]), share=share(row["share"], words.lang))
    if row["share_of_previous"] is None:
        return found
    return found + words("funnel.hover_previous", share=share(row["share_of_previous"], words.lang))


def _told(one: Funnel, rows: Rows, words: Words) -> str:
    first, last = rows[0], rows[-1]
    if not first["users"]:
        return words("funnel.told_none", first=first["event"])
    found = words(
        "funnel.told",
        users=count(first["users"]),
        first=first["event"],
        last=last["event"],
        reached=count(last["users"]),
        share=share(last["share"], words.lang),
        window=days(one.within_days, words),
    )
    return found + _worst(rows, words) + _open(rows, words)


def _worst(rows: Rows, words: Words) -> str:
    """Where the largest share of those who came so far is lost."""
    steps = [row for row in rows if row["share_of_previous"] is not None]
    if not steps:
        return ""
    worst = min(steps, key=lambda row: row["share_of_previous"])
    lost = share(1 - worst["share_of_previous"], words.lang)
    return words("funnel.told_worst", step=worst["step"], event=worst["event"], lost=lost)


def _open(rows: Rows, words: Words) -> str:
    waiting = sum(row["still_open"] for row in rows)
    return words("funnel.told_open", users=count(waiting)) if waiting else ""
