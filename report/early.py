"""Early behaviours: what those who stay or pay do in their first days, in sentences."""

from __future__ import annotations

from typing import Any

from report.asked import Asked
from report.figures import figure, line, plain, times
from report.parts import Column, Filter, Kind, Panel, Section, Table, View
from report.paths import reach
from report.shown import count, factor, share
from report.words import Words
from retention.early import early_markers
from runtime.errors import LabelError, UsageError

MOST = 12
NEAR_ONE = 1.2  # a ratio whose interval begins below takes two digits

Rows = list[dict[str, Any]]


def section(asked: Asked) -> Section:
    words = asked.words
    common: dict[str, Any] = {"name": "early", "title": words("early.title")}
    found = gather(asked)
    if found is None or not found["rows"]:
        key = "early.nothing" if found is None else "early.none_kept"
        return Section(**common, about=words("early.about"), nothing=words(key))
    outcomes = [
        name for name in ("stays", "pays") if any(r["outcome"] == name for r in found["rows"])
    ]
    panel = Panel(
        name="early-markers",
        title=words("early.markers"),
        about=words("early.markers_about", **_blanks(found, words)),
        views={(name,): _view(found, name, words) for name in outcomes},
        filters=("outcome",),
    )
    options = tuple((name, words(f"early.{name}")) for name in outcomes)
    return Section(
        **common,
        about=words("early.caution"),
        panels=(panel,),
        filters=(Filter("outcome", words("filter.outcome"), options),),
    )


def gather(asked: Asked) -> dict[str, Any] | None:
    """`EarlyMarkers.to_json()`; None where too few users' outcomes are known."""
    try:
        return early_markers(
            asked.settings, asked.store, asked.device, cluster=asked.cluster
        ).to_json()
    except (LabelError, UsageError):
        return None


def _blanks(found: dict[str, Any], words: Words) -> dict[str, Any]:
    return {
        "searched": count(found["searched"]),
        "users": count(found["validation"]["users"]),
        "since": found["validation"]["since"],
        "until": found["validation"]["until"],
        "false": share(found["false_discovery_rate"], words.lang),
    }


def _view(found: dict[str, Any], outcome: str, words: Words) -> View:
    every = [row for row in found["rows"] if row["outcome"] == outcome]
    ordered = sorted(every, key=lambda row: (row["repeats"], -abs(row["ratio"] or 1)))
    rows = ordered[:MOST]
    kinds: list[tuple[str, Kind]] = [("sentence", "text"), ("early_share", "share")]
    kinds += [("with_rate", "share"), ("without_rate", "share"), ("ratio", "factor")]
    kinds += [("low", "factor"), ("high", "factor"), ("adjusted_ratio", "factor")]
    columns = tuple(Column(words(f"column.{name}"), kind) for name, kind in kinds)
    names = ("share", "with_rate", "without_rate", "ratio", "ratio_low", "ratio_high")
    body = tuple(
        (sentence(row, words), *(row[name] for name in (*names, "adjusted_ratio"))) for row in rows
    )
    note = ""
    if len(every) > len(rows):
        note = words("page.first_of", shown=count(len(rows)), of=count(len(every)))
    told = sentence(rows[0], words)
    return View(told, _draw(rows, words), Table(columns, body, note))


def sentence(row: dict[str, Any], words: Words) -> str:
    """'Users who do “favourite” at least 3 times in their first 7 days pay 4.1 times as often
    (3.2 to 5.2) as others: 45 % against 11 %. 23 % of new users do.'"""
    shares = {name: share(row[name], words.lang) for name in ("with_rate", "without_rate", "share")}
    key = "early.told" if row["ratio"] else "early.told_no_ratio"
    return words(
        key,
        did=did(row, words),
        outcome=words(f"early.verb_{row['outcome']}"),
        ratio=_ratio(row["ratio"], row),
        low=_ratio(row["ratio_low"], row),
        high=_ratio(row["ratio_high"], row),
        **shares,
    )


def _ratio(value: float | None, row: dict[str, Any]) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if (row["ratio_low"] or 0) < NEAR_ONE else factor(value).removesuffix("×")


def did(row: dict[str, Any], words: Words) -> str:
    """What the users of a marker do, half a sentence."""
    name, _, value = str(row["event"] or "").partition("=")
    blanks = {"name": name, "value": value, "n": row["at_least"], "days": row["days"]}
    when = words("early.first_day" if row["days"] == 1 else "early.first_days", **blanks)
    once = "_once" if row["at_least"] == 1 else ""
    return words(f"early.did_{row['behaviour']}{once}", when=when, **blanks)


def _ends(rows: Rows) -> list[float]:
    return [row[end] for row in rows for end in ("ratio_low", "ratio_high")]


def _draw(rows: Rows, words: Words) -> dict[str, Any]:
    known = [row for row in rows if row["ratio"] and row["ratio_low"] and row["ratio_high"]][::-1]
    labels = [plain(did(row, words), 52) for row in known]
    points = line(
        [row["ratio"] for row in known],
        labels,
        words("column.ratio"),
        "$c1",
        mode="markers",
        marker={
            "size": 10,
            "color": "$c1",
            "symbol": ["circle-open" if row["repeats"] else "circle" for row in known],
        },
        error_x=reach(known, "ratio", "ratio_low", "ratio_high", "$c1"),
        hovertemplate="%{y}: %{x:.2f}<extra></extra>",
    )
    one = {"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1}
    return figure(
        [points],
        110 + 30 * len(known),
        showlegend=False,
        xaxis=times(_ends(known), words("early.ratio")),
        yaxis={"type": "category"},
        shapes=[one | {"line": {"color": "$soft", "width": 1, "dash": "dot"}}],
    )
