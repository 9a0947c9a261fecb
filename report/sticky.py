"""Stickiness: who comes each day, of those who come each week or month."""

from __future__ import annotations

from typing import Any

from report.asked import Asked
from report.figures import COUNTS, PERCENT, column, figure, line
from report.parts import Column, Panel, Section, Table, View, one_view
from report.shown import NOTHING, count, part_of, share
from report.words import Words
from retention.stickiness import stickiness

MOST_DAYS = 366
LINES = {"mau": "$c3", "wau": "$c2", "dau": "$c1"}
RATIOS = {"dau_wau": "$c2", "dau_mau": "$c1"}

Rows = list[dict[str, Any]]


def section(asked: Asked) -> Section:
    words = asked.words
    every = gather(asked)
    rows = every[-MOST_DAYS:]
    note = part_of(len(rows), len(every), words, "page.last_of")
    panels = (
        _panel("active", rows, LINES, words, note),
        _panel("ratio", rows, RATIOS, words, note),
    )
    return Section("stickiness", words("sticky.title"), words("sticky.about"), panels)


def gather(asked: Asked) -> Rows:
    """One row a day: day, dau, wau, mau, dau_wau, dau_mau. A day that has not ended is left out:
    it would be drawn as a fall."""
    found = stickiness(asked.settings, asked.store, asked.device, cluster=asked.cluster)
    return [row for row in found.to_json()["rows"] if row["complete"]]


def _panel(name: str, rows: Rows, lines: dict[str, str], words: Words, note: str) -> Panel:
    shares = name == "ratio"
    columns = [Column(words("column.day"), "date")]
    columns += [Column(words(f"column.{one}"), "share" if shares else "count") for one in lines]
    body = tuple(tuple(row[one] for one in ("day", *lines)) for row in rows)
    told = _ratio_told(rows, words) if shares else _active_told(rows, words)
    view = View(told, draw(lines, words, shares=shares), Table(tuple(columns), body, note))
    return Panel(
        name=f"stickiness-{name}",
        title=words(f"sticky.{name}"),
        about=words(f"sticky.{name}_about"),
        views=one_view(view),
        along=True,
    )


def draw(lines: dict[str, str], words: Words, *, shares: bool) -> dict[str, Any]:
    """Lines of the table's columns."""
    form = ".1%" if shares else ","
    traces = [
        line(
            column(0),
            column(place),
            words(f"column.{name}"),
            colour,
            hovertemplate=f"%{{x|%Y-%m-%d}}: %{{y:{form}}}<extra>%{{fullData.name}}</extra>",
        )
        for place, (name, colour) in enumerate(lines.items(), start=1)
    ]
    axis = {"tickformat": PERCENT} if shares else COUNTS
    return figure(traces, 300, xaxis={"type": "date"}, yaxis=axis)


def _last(rows: Rows, name: str) -> dict[str, Any] | None:
    known = [row for row in rows if row[name] is not None]
    return known[-1] if known else None


def _active_told(rows: Rows, words: Words) -> str:
    last = _last(rows, "mau") or _last(rows, "dau")
    if last is None:
        return words("sticky.none_complete")
    counts = {name: NOTHING if last[name] is None else count(last[name]) for name in LINES}
    return words("sticky.active_told", day=last["day"], **counts)


def _ratio_told(rows: Rows, words: Words) -> str:
    known = [row["dau_mau"] for row in rows if row["dau_mau"] is not None]
    last = _last(rows, "dau_mau")
    if last is None:
        return words("sticky.too_short")
    recent = known[-28:]
    return words(
        "sticky.ratio_told",
        day=last["day"],
        share=share(last["dau_mau"], words.lang),
        days=len(recent),
        mean=share(sum(recent) / len(recent), words.lang),
    )
