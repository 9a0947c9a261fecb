"""Funnels: how many go from step to step, and where they drop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from events.properties import dimension_of
from report.asked import Asked
from report.figures import COUNTS, bars, figure, plain
from report.parts import Column, Filter, Kind, Panel, Section, Table, View
from report.proposed import proposed
from report.shown import count, days, share
from report.words import Words
from retention.funnel import Funnel, Group, funnel
from retention.funnel_count import is_told
from retention.steps import question
from runtime.settings_funnel import Funnel as Settings

KINDS: dict[str, Kind] = {
    "step": "count",
    "event": "name",
    "users": "count",
    "share": "share",
    "low": "share",
    "high": "share",
    "share_of_previous": "share",
    "median_seconds": "duration",
    "dropped": "count",
    "still_open": "count",
}

EVERYONE = ""

Rows = list[dict[str, Any]]


def section(asked: Asked) -> Section:
    words = asked.words
    asked_for = asked.funnels or asked.settings.funnel
    drawn = asked_for or proposed(asked)
    if not drawn:
        about, nothing = words("funnel.about"), words("funnel.nothing")
        return Section("funnel", words("funnel.title"), about, nothing=nothing)
    views: dict[tuple[str, ...], View] = {}
    for one in drawn:
        found = gather(one, asked)
        views[one.name, EVERYONE] = view(found, found.to_json()["rows"], words)
        if len(found.groups) > 1:
            views |= {
                (one.name, _group(group, words)): view(found, group.to_json()["rows"], words)
                for group in found.groups
            }
    filters = _filters(views, words)
    names = tuple(one.name for one in filters)
    places = [n for n, name in enumerate(("funnel", "start")) if name in names]
    panel = Panel(
        name="funnel-steps",
        title=words("funnel.steps"),
        about=words("funnel.steps_about"),
        views={tuple(key[n] for n in places): one for key, one in views.items()},
        filters=names,
    )
    return Section(
        name="funnel",
        title=words("funnel.title"),
        about=words("funnel.about") if asked_for else words("funnel.proposed"),
        panels=(panel,),
        filters=filters,
    )


def _filters(views: Mapping[tuple[str, ...], View], words: Words) -> tuple[Filter, ...]:
    names = tuple((name, name) for name in dict.fromkeys(name for name, _ in views))
    groups = tuple(dict.fromkeys(group for _, group in views))
    shown = tuple((group, group or words("filter.everyone")) for group in groups)
    found = (
        Filter("funnel", words("filter.funnel"), names),
        Filter("start", words("filter.start"), shown),
    )
    return tuple(one for one in found if len(one.options) > 1)


def _group(group: Group, words: Words) -> str:
    if group.others:
        return words("group.other")
    if group.value is None:
        return words("group.missing")
    return group.value or words("page.quoted", name="")


def gather(one: Settings, asked: Asked) -> Funnel:
    """Broken down as it says, else by the first of what users are broken down by that a start of
    it has."""
    return funnel(
        asked.settings,
        asked.store,
        asked.device,
        one.steps,
        timedelta(days=one.within_days),
        order=one.order,
        exclude=one.exclude,
        hold=one.hold,
        by=one.by or _told_by_starts(one, asked),
        top=one.top,
        name=one.name,
        cluster=asked.cluster,
    )


def _told_by_starts(one: Settings, asked: Asked) -> str | None:
    window = timedelta(days=one.within_days)
    steps = question(asked.settings, asked.store.covered_until, one.steps, window, order=one.order)
    known = ((name, dimension_of(name, asked.settings)) for name in asked.dimensions)
    return next((name for name, told in known if is_told(asked.store, told, steps.starts)), None)


def view(found: Funnel, rows: Rows, words: Words) -> View:
    columns = tuple(Column(words(f"column.{name}"), kind) for name, kind in KINDS.items())
    body = tuple(tuple(row[name] for name in KINDS) for row in rows)
    told = _told(found, rows, words) + _how(found, words)
    return View(told, draw(rows, words), Table(columns, body))


def _how(found: Funnel, words: Words) -> str:
    """What the settings add to the plain funnel."""
    asked = found.question
    told = "" if asked.order == "sequential" else words(f"funnel.order_{asked.order}")
    if asked.exclude:
        told += words("funnel.excluding", events=words.listed([str(one) for one in asked.exclude]))
    if asked.hold is not None:
        told += words("funnel.holding", name=asked.hold.name)
    return told


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
        xaxis=COUNTS | {"rangemode": "tozero"},
    )


def _hover(row: dict[str, Any], words: Words) -> str:
    found = words("funnel.hover", users=count(row["users"]), share=share(row["share"], words.lang))
    if row["share_of_previous"] is None:
        return found
    return found + words("funnel.hover_previous", share=share(row["share_of_previous"], words.lang))


def _told(found: Funnel, rows: Rows, words: Words) -> str:
    first, last = rows[0], rows[-1]
    if not first["users"]:
        return words("funnel.told_none", first=first["event"])
    told = words(
        "funnel.told",
        users=count(first["users"]),
        first=first["event"],
        last=last["event"],
        reached=count(last["users"]),
        share=share(last["share"], words.lang),
        window=days(found.window, words),
    )
    return told + _worst(rows, words) + _open(rows, words)


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
