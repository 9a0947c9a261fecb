"""Whether the tracking is right: what was found, volume by day, and what ingest refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from events.findings import SEVERITIES
from events.quality import Quality, quality
from report.asked import Asked
from report.figures import COLOURS, column, figure, line, plain
from report.parts import Column, Fact, Panel, Section, Table, View, one_view
from report.shown import count, number, share
from report.words import Words

MOST_DAYS = 366
MOST_EVENTS = 6
MOST_FINDINGS = 100
SHARES = ("amounts", "property", "type", "repeats", "duplicates", "late", "ahead", "gaps", "clock")
# What a reason of the quarantine is about. Its text may hold a user's id and stays off the page.
REFUSED = {
    "user_id": r"user id ",
    "arrival": r".*arrival '",
    "time": r".*time (?:'|in )|the time ",
    "amount": r"amount '",
    "event": r"the event in ",
    "fields": r"\d+ fields where",
    "json": r"not a JSON",
}


def section(asked: Asked) -> Section:
    words, found = asked.words, gather(asked)
    panels = [_findings_panel(found, words), _volume_panel(found, words)]
    if not found.quarantine.is_empty():
        panels.append(_refused_panel(found.quarantine, words))
    return Section(
        name="tracking",
        title=words("tracking.title"),
        about=words("tracking.about"),
        panels=tuple(panels),
        facts=_facts(found, words),
    )


def gather(asked: Asked) -> Quality:
    return quality(asked.settings, asked.store, asked.device, asked.cluster)


def _facts(found: Quality, words: Words) -> tuple[Fact, ...]:
    severities = [finding.severity for finding in found.findings]
    return tuple(
        Fact(
            words(f"severity.{one}s"),
            count(severities.count(one)),
            words(f"severity.{one}_about"),
        )
        for one in SEVERITIES
    )


def _findings_panel(found: Quality, words: Words) -> Panel:
    names = ("severity", "what", "event", "first_day", "last_day", "found", "expected")
    kinds = {"event": "name", "first_day": "date", "last_day": "date"}
    kinds |= {"found": "said", "expected": "said"}
    columns = tuple(Column(words(f"column.{n}"), kinds.get(n, "text")) for n in names)  # type: ignore[arg-type]
    rows = tuple(_finding_row(one.to_json(), words) for one in found.findings[:MOST_FINDINGS])
    told = words("tracking.none_found")
    if rows:
        told = words("page.first_of", shown=count(len(rows)), of=count(len(found.findings)))
    return Panel(
        name="tracking-findings",
        title=words("tracking.findings"),
        about=words("tracking.findings_about"),
        views=one_view(View(told, None, Table(columns, rows))),
    )


def _finding_row(one: Mapping[str, Any], words: Words) -> tuple[Any, ...]:
    kind = one["kind"]
    where = [one[name] for name in ("event", "channel", "property") if one.get(name)]
    return (
        words(f"severity.{one['severity']}"),
        words.table.get(f"finding.{kind}", kind),
        " · ".join(where) or None,
        one["first_day"],
        one["last_day"],
        *(_measure(one[name], kind, words) for name in ("found", "expected")),
    )


def _measure(value: float | None, kind: str, words: Words) -> str | None:
    """A count of rows, or a share of them, as the kind of finding has it."""
    if value is None:
        return None
    if kind in SHARES and abs(value) <= 1:
        return share(value, words.lang)
    return count(value) if abs(value) >= 1 or value == 0 else number(value)


def _volume_panel(found: Quality, words: Words) -> Panel:
    total = found.daily.group_by("day").agg(rows=pl.col("rows").sum()).sort("day")
    days = total["day"].to_list()[-MOST_DAYS:]
    events = found.events["event"].to_list()[:MOST_EVENTS]
    by_event = {name: _rows_of(found.daily, name, days) for name in events}
    sums = dict(total.iter_rows())
    columns = [Column(words("column.day"), "date"), Column(words("column.rows"), "count")]
    columns += [Column(name, "count") for name in events]
    rows = tuple(
        (str(day), sums[day], *(counts[n] for counts in by_event.values()))
        for n, day in enumerate(days)
    )
    of = words("tracking.volume_told", days=count(len(days)), events=count(len(found.events)))
    note = ""
    if len(total) > len(days):
        note = words("page.last_of", shown=count(len(days)), of=count(len(total)))
    view = View(of, _draw(days, by_event, found, words), Table(tuple(columns), rows, note))
    return Panel(
        name="tracking-volume",
        title=words("tracking.volume"),
        about=words("tracking.volume_about"),
        views=one_view(view),
        along=True,
    )


def _rows_of(daily: pl.DataFrame, event: str, days: list[date]) -> list[int]:
    counts = dict(daily.filter(pl.col("event") == event).select("day", "rows").iter_rows())
    return [counts.get(day, 0) for day in days]


def _draw(
    days: list[date], by_event: Mapping[str, list[int]], found: Quality, words: Words
) -> dict[str, Any]:
    """A line an event; days with an error or a warning are shaded."""
    traces = [
        line(
            column(0),
            column(place),
            plain(name, 20),
            colour,
            hovertemplate="%{x|%Y-%m-%d}: %{y:,}<extra>%{fullData.name}</extra>",
        )
        for place, (name, colour) in enumerate(zip(by_event, COLOURS, strict=False), start=2)
    ]
    shaded = [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": f"{one.first_day}T00:00",
            "x1": f"{one.last_day}T23:59",
            "y0": 0,
            "y1": 1,
            "fillcolor": "$c4soft",
            "line": {"width": 0},
            "layer": "below",
        }
        for one in found.findings
        if one.severity != "info" and one.first_day and one.last_day and one.last_day >= days[0]
    ]
    return figure(
        traces,
        320,
        xaxis={"type": "date"},
        yaxis={"tickformat": "~s"},
        shapes=shaded[:MOST_FINDINGS],
    )


def _refused_panel(refused: pl.DataFrame, words: Words) -> Panel:
    counts: dict[tuple[str, str], int] = {}
    for row in refused.to_dicts():
        key = row["source"], refused_kind(row["reason"])
        counts[key] = counts.get(key, 0) + row["rows"]
    columns = (
        Column(words("column.source"), "name"),
        Column(words("column.reason"), "text"),
        Column(words("column.rows"), "count"),
    )
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    rows = tuple((source, words(f"refused.{kind}"), n) for (source, kind), n in ordered)
    told = words("tracking.refused_told", rows=count(sum(counts.values())))
    return Panel(
        name="tracking-refused",
        title=words("tracking.refused"),
        about=words("tracking.refused_about"),
        views=one_view(View(told, None, Table(columns, rows))),
    )


def refused_kind(reason: str) -> str:
    for kind, pattern in REFUSED.items():
        if re.match(pattern, reason) or (kind == "user_id" and reason.startswith("the user id")):
            return kind
    return "other"
