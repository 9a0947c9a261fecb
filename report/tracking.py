"""Whether the tracking is right: what was found, volume by day, and what ingest refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl

from events.findings import SEVERITIES
from events.quality import Quality, quality
from report.asked import Asked
from report.figures import COLOURS, COUNTS, column, figure, line, plain
from report.parts import Column, Fact, Panel, Section, Table, View, one_view
from report.shown import count, fixed, part_of, share
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
    "fields": r".* fields where",
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
    kinds = {"severity": "word", "event": "name", "first_day": "date", "last_day": "date"}
    kinds |= {"found": "said", "expected": "said"}
    columns = tuple(Column(words(f"column.{n}"), kinds.get(n, "text")) for n in names)  # type: ignore[arg-type]
    rows = tuple(_finding_row(one.to_json(), words) for one in found.findings[:MOST_FINDINGS])
    of = len(found.findings)
    told = part_of(len(rows), of, words) or words("page.in_all", of=count(of))
    told = told if of else words("tracking.none_found")
    return Panel(
        name="tracking-findings",
        title=words("tracking.findings"),
        about=words("tracking.findings_about"),
        views=one_view(View(told, None, Table(columns, rows))),
    )


def _finding_row(one: Mapping[str, Any], words: Words) -> tuple[Any, ...]:
    kind = one["kind"]
    shares = kind in SHARES and one["found"] <= 1  # of a late file the rows are counted
    where = [one[name] for name in ("event", "channel", "property") if one.get(name)]
    return (
        words(f"severity.{one['severity']}"),
        words.table.get(f"finding.{kind}", kind),
        " · ".join(where) or None,
        one["first_day"],
        one["last_day"],
        *(_measure(one[name], words, shares=shares) for name in ("found", "expected")),
    )


def _measure(value: float | None, words: Words, *, shares: bool) -> str | None:
    """A count of rows (a tenth of one, where fewer than one is expected), or a share of them."""
    if value is None:
        return None
    if shares:
        return share(value, words.lang)
    return fixed(value, 1 if 0 < value < 1 else 0)


def _volume_panel(found: Quality, words: Words) -> Panel:
    sums, every = _by_day(found)
    days = every[-MOST_DAYS:]
    events = found.events["event"].to_list()[:MOST_EVENTS]
    by_event = {name: _rows_of(found.daily, name, days) for name in events}
    columns = [Column(words("column.day"), "date"), Column(words("column.rows"), "count")]
    columns += [Column(name, "count") for name in events]
    rows = tuple(
        (str(day), sums.get(day, 0), *(counts[n] for counts in by_event.values()))
        for n, day in enumerate(days)
    )
    told = words("tracking.volume_told", days=count(len(every)), events=count(len(found.events)))
    note = part_of(len(days), len(every), words, "page.last_of")
    view = View(told, _draw(days, by_event, found, words), Table(tuple(columns), rows, note))
    return Panel(
        name="tracking-volume",
        title=words("tracking.volume"),
        about=words("tracking.volume_about"),
        views=one_view(view),
        along=True,
    )


def _by_day(found: Quality) -> tuple[dict[date, int], list[date]]:
    """Rows by day, and the days from the first to the last, those without any row too; without
    stray rows, years away."""
    stray = [(one.first_day, one.last_day) for one in found.findings if one.kind == "stray"]
    total = found.daily.group_by("day").agg(rows=pl.col("rows").sum()).sort("day")
    sums = {
        day: rows
        for day, rows in total.iter_rows()
        if not any(first <= day <= last for first, last in stray if first and last)
    }
    first, last = min(sums), max(sums)
    return sums, [first + timedelta(days=n) for n in range((last - first).days + 1)]


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
            "x0": f"{max(one.first_day, days[0])}T00:00",
            "x1": f"{min(one.last_day, days[-1])}T23:59",
            "y0": 0,
            "y1": 1,
            "fillcolor": "$c4soft",
            "line": {"width": 0},
            "layer": "below",
        }
        for one in found.findings
        if one.severity != "info" and one.first_day and one.last_day
        if one.last_day >= days[0] and one.first_day <= days[-1]
    ]
    return figure(
        traces,
        320,
        xaxis={"type": "date"},
        yaxis=COUNTS,
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
